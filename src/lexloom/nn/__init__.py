"""The parts that models share: attention and its cache, positions, layers, the vocabulary loss, tensor files."""
