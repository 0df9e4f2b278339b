"""Whatever clients do, each gets what it would get alone, and nobody waits for nothing."""

import asyncio
import threading
import time
from contextlib import aclosing

import numpy as np
import pytest

from lexloom.base.errors import UserError
from lexloom.generate.engine import generate_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect, generate_text
from lexloom.serve.engine import Engine
from lexloom.serve.jobs import Busy, DeadlineExceeded, EngineFailed, Job
from lexloom.serve.worker import Worker
from tests.scripted import scrambled
from tests.unit.generate.test_text import make_tokenizer

TOKENIZER = make_tokenizer([])
EOS = TOKENIZER.eos_id
SETTINGS = SamplingSettings(temperature=0, max_tokens=12)


def endless(context=512):
    """A model that says anything but the end."""
    model = scrambled(vocab_size=TOKENIZER.vocab_size, context=context)
    plain = model.next_scores
    model.next_scores = lambda ids: plain(ids) - 99 * (np.arange(TOKENIZER.vocab_size) == EOS)
    return model


class Slow:
    """A model whose passes wait until they are allowed, and are counted."""

    def __init__(self, *, context: int = 512, free: bool = True):
        self.inner = endless(context)
        self.config, self.new_cache, self.scores = self.inner.config, self.inner.new_cache, self.inner.scores
        self.gate = threading.Semaphore(10**9 if free else 0)
        self.passes = 0
        self.at = {}

    def hidden(self, ids_BL, *, cache):
        self.gate.acquire()
        self.passes += 1
        if self.passes in self.at:
            return self.at[self.passes](ids_BL, cache)
        return self.inner.hidden(ids_BL, cache=cache)


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def serve():
    """`serve(model, **options)` is an engine that is closed after the test."""
    engines, models = [], []

    def start(model, *, worker=None, **options):
        models.append(model)
        engines.append(Engine(model, TOKENIZER, worker or Worker(), **options))
        return engines[-1]

    yield start
    for model in models:
        model.gate.release(10**6)
    for engine in engines:
        engine.close()


def job(prompt, settings=SETTINGS, **options):
    return Job(tuple(prompt), settings, (EOS,), **options)


async def whole(engine, one):
    async with aclosing(engine.generate(one)) as pieces:
        return [piece async for piece in pieces]


def text_of(pieces):
    return "".join(piece.text for piece in pieces), pieces[-1].finish


def alone(prompt, settings=SETTINGS):
    model = endless()
    (reply,) = collect(generate_text(model, TOKENIZER, [prompt], settings, eos_ids=[EOS]), rows=1)
    return reply.text, reply.finish


async def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.002)


# ---- the same as alone ----


def test_33_clients_get_the_texts_that_each_would_get_alone(serve):
    rng = np.random.default_rng(0)
    asked = []
    for number in range(33):
        prompt = rng.integers(200, size=rng.integers(1, 60)).tolist()
        stop = ("a", "é") if number % 3 == 0 else ()
        temperature = float(number % 2)
        asked.append((prompt, SamplingSettings(temperature=temperature, seed=number, max_tokens=40, stop=stop)))

    async def main():
        engine = serve(Slow(), slots=5, queue_jobs=40)
        return await asyncio.gather(*(whole(engine, job(*one, owner=str(n % 3))) for n, one in enumerate(asked)))

    assert [text_of(pieces) for pieces in asyncio.run(main())] == [alone(*one) for one in asked]


def test_scores_are_those_of_generating_alone(serve):
    async def main():
        return await whole(serve(Slow()), job([5, 6], top_logprobs=3))

    tokens = [token for piece in asyncio.run(main()) for token in piece.tokens]
    expected = list(generate_ids(endless(), [[5, 6]], SETTINGS))
    assert [token.id for token in tokens] == [token.id for token in expected]
    assert [token.log_probability for token in tokens] == [token.log_probability for token in expected]
    assert all(token.top[0] == (token.id, token.log_probability) for token in tokens), "greedy takes the best"
    assert all(len(token.top) == 3 for token in tokens)


def test_several_engines_share_one_thread(serve):
    async def main():
        worker = Worker()
        engines = [serve(Slow(), worker=worker) for _ in range(3)]
        before = threading.active_count()
        texts = await asyncio.gather(*(whole(engines[n % 3], job([n + 1])) for n in range(9)))
        assert threading.active_count() == before
        return texts

    before = threading.active_count()
    texts = asyncio.run(main())
    assert [text_of(pieces) for pieces in texts] == [alone([n + 1]) for n in range(9)]
    assert threading.active_count() <= before + 1


# ---- leaving (S4) ----


def test_a_client_that_leaves_stops_the_model_within_two_passes(serve):
    async def main():
        model = Slow(free=False)
        engine = serve(model)
        pieces = engine.generate(job([1], SamplingSettings(temperature=0, max_tokens=400)))
        model.gate.release(3)
        await anext(pieces)
        await pieces.aclose()
        model.gate.release(100)
        await until(lambda: engine.running == 0)
        await asyncio.sleep(0.05)
        assert model.passes <= 3 + 2

    asyncio.run(main())


def test_a_client_that_leaves_the_queue_never_reaches_the_model(serve):
    async def main():
        model = Slow(free=False)
        engine = serve(model, slots=1)
        first = asyncio.create_task(whole(engine, job([1])))
        await until(lambda: engine.running == 1)
        second = asyncio.create_task(whole(engine, job([2])))
        await until(lambda: engine.waiting == 1)
        second.cancel()
        model.gate.release(1000)
        assert text_of(await first) == alone([1])
        await until(lambda: engine.waiting == 0)
        await asyncio.sleep(0.02)
        assert model.passes == 12

    asyncio.run(main())


def test_a_client_that_leaves_while_its_prompt_is_read_harms_nobody(serve):
    async def main():
        model = Slow(free=False)
        engine = serve(model)
        kept = asyncio.create_task(whole(engine, job([3])))
        gone = asyncio.create_task(whole(engine, job([1] * 400)))
        await until(lambda: engine.running + engine.waiting == 2)
        model.gate.release(2)
        await until(lambda: model.passes == 2)
        gone.cancel()
        model.gate.release(1000)
        assert text_of(await kept) == alone([3])
        assert model.passes < 12 + 4

    asyncio.run(main())


def test_a_client_that_leaves_takes_its_examples_along(serve):
    seen = []

    async def main():
        model = Slow(free=False)
        engine = serve(model, gather_s=0.0)
        writing = asyncio.create_task(whole(engine, job([1])))
        await until(lambda: engine.running == 1)
        kept, gone = (asyncio.create_task(engine.run(look, [name])) for name in ("kept", "gone"))
        await until(lambda: engine.waiting == 2)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        model.gate.release(1000)
        assert await kept == ["kept"]
        await writing

    def look(examples):
        seen.extend(examples)
        return list(examples)

    asyncio.run(main())
    assert seen == ["kept"]


def test_what_one_owner_has_asked_is_read_anew_for_another(serve):
    """Else who is answered faster could guess what others have asked."""
    prompt, settings = list(range(1, 101)), SamplingSettings(temperature=0, max_tokens=1)

    async def main():
        model = Slow()
        engine = serve(model)

        async def tokens_read(owner):
            before = model.inner.forward_tokens
            await whole(engine, job(prompt, settings, owner=owner))
            return model.inner.forward_tokens - before

        assert [await tokens_read(owner) for owner in ("a", "a", "b", "b")] == [100, 1, 100, 1]

    asyncio.run(main())


def test_nothing_of_one_client_reaches_another_whoever_leaves(serve):
    """Each client's prompt is its secret; a model that copies shows whose keys and values a row sees."""
    clients, rounds = 8, 40

    async def client(engine, number, rng):
        for _ in range(rounds):
            secret = [number] * int(rng.integers(17, 30))
            settings = SamplingSettings(temperature=0, max_tokens=int(rng.integers(1, 12)))
            seen = []
            async with aclosing(engine.generate(job(secret, settings, owner=str(number % 4)))) as pieces:
                async for piece in pieces:
                    seen += [token.id for token in piece.tokens]
                    if rng.random() < 0.1:
                        break
            assert set(seen) == {number}

    async def main():
        model = Slow()
        scores = np.zeros(TOKENIZER.vocab_size, np.float32)

        def copying(ids):
            assert set(ids) <= {ids[0], 0}, "a row sees another's ids; 0 is padding, which is forgotten"
            found = scores.copy()
            found[ids[0]] = 50
            return found

        model.inner.next_scores = copying
        engine = serve(model, slots=3, prefix_bytes=10_000)
        await asyncio.gather(
            *(client(engine, number, np.random.default_rng(number)) for number in range(1, clients + 1))
        )
        await until(lambda: engine.running == engine.waiting == 0)

    asyncio.run(main())


# ---- too many, too late (S5) ----


def test_a_full_queue_refuses_at_once_and_what_was_accepted_ends(serve):
    async def main():
        model = Slow(free=False)
        engine = serve(model, slots=1, queue_jobs=3)
        accepted = [asyncio.create_task(whole(engine, job([1])))]
        await until(lambda: engine.running == 1)
        accepted += [asyncio.create_task(whole(engine, job([n + 1]))) for n in range(1, 4)]
        await until(lambda: engine.waiting == 3)
        for _ in range(50):
            with pytest.raises(Busy):
                await whole(engine, job([9]))
        model.gate.release(1000)
        assert [text_of(await one) for one in accepted] == [alone([n + 1]) for n in range(4)]

    asyncio.run(main())


def test_who_asks_much_makes_place_for_who_asks_little(serve):
    async def main():
        model = Slow(free=False)
        engine = serve(model, slots=1, queue_jobs=4)
        greedy = [asyncio.create_task(whole(engine, job([1], owner="greedy")))]
        await until(lambda: engine.running == 1)
        greedy += [asyncio.create_task(whole(engine, job([n + 1], owner="greedy"))) for n in range(1, 5)]
        await until(lambda: engine.waiting == 4)
        modest = asyncio.create_task(whole(engine, job([9], owner="modest")))
        await until(greedy[-1].done)
        with pytest.raises(Busy):
            await greedy[-1]
        model.gate.release(12)
        await greedy[0]
        await until(lambda: engine.running == 1)
        model.gate.release(12)
        assert text_of(await modest) == alone([9]), "who has nothing running is next"
        assert not any(one.done() for one in greedy[1:4])
        model.gate.release(1000)
        await asyncio.gather(*greedy[:4])

    asyncio.run(main())


def test_owners_who_wait_take_turns_whoever_came_first(serve):
    async def main():
        model, begun = Slow(free=False), []
        engine = serve(model, slots=1, queue_jobs=9)

        async def one(prompt, owner):
            await whole(engine, job([prompt], SamplingSettings(temperature=0, max_tokens=2), owner=owner))
            begun.append(owner)

        tasks = [asyncio.create_task(one(1, "first"))]
        await until(lambda: engine.running == 1)
        tasks += [asyncio.create_task(one(number, owner)) for owner in ("many", "few") for number in (2, 3, 4)]
        await until(lambda: engine.waiting == 6)
        model.gate.release(1000)
        await asyncio.gather(*tasks)
        assert begun == ["first", "many", "few", "many", "few", "many", "few"]

    asyncio.run(main())


def test_examples_beyond_the_queue_are_refused_at_once(serve):
    async def main():
        model = Slow(free=False)
        engine = serve(model, queue_jobs=3, gather_s=0.0)
        writing = asyncio.create_task(whole(engine, job([1])))
        await until(lambda: engine.running == 1)
        accepted = [asyncio.create_task(engine.run(list, [number])) for number in range(3)]
        await until(lambda: engine.waiting == 3)
        with pytest.raises(Busy):
            await engine.run(list, [9])
        model.gate.release(1000)
        assert await asyncio.gather(*accepted) == [[0], [1], [2]]
        await writing

    asyncio.run(main())


@pytest.mark.parametrize("place", ["running", "queued"])
def test_a_deadline_ends_a_job_wherever_it_is(serve, place):
    async def main():
        clock, model = Clock(), Slow(free=False)
        engine = serve(model, slots=1, worker=Worker(clock=clock))
        first = asyncio.create_task(whole(engine, job([1], deadline_s=5.0 if place == "running" else None)))
        await until(lambda: engine.running == 1)
        second = asyncio.create_task(whole(engine, job([2], deadline_s=5.0 if place == "queued" else None)))
        await until(lambda: engine.waiting == 1)
        clock.now_s = 6.0
        model.gate.release(1000)
        late, other = (first, second) if place == "running" else (second, first)
        with pytest.raises(DeadlineExceeded, match=r"5\.0 s"):
            await late
        assert text_of(await other)[1] == "length"

    asyncio.run(main())


# ---- what breaks (S11) ----


def raising(ids_BL, cache):
    raise RuntimeError("a secret of the machine")


@pytest.mark.parametrize("at", [1, 2, 17])
def test_a_model_that_raises_fails_its_jobs_and_serves_the_next(serve, at):
    async def main():
        model = Slow()
        model.at[at] = raising
        engine = serve(model)
        with pytest.raises(EngineFailed) as caught:
            await whole(engine, job([1], SamplingSettings(temperature=0, max_tokens=30)))
        assert "secret" not in str(caught.value)
        assert engine.failure is None
        assert text_of(await whole(engine, job([1]))) == alone([1])

    asyncio.run(main())


def test_scores_that_are_not_numbers_fail_their_job_alone(serve):
    async def main():
        model = Slow()
        plain = model.inner.next_scores
        model.inner.next_scores = lambda ids: plain(ids) * (np.nan if ids[0] == 60 and len(ids) > 4 else 1)
        engine = serve(model)
        good, bad = await asyncio.gather(whole(engine, job([1])), whole(engine, job([60])), return_exceptions=True)
        assert text_of(good) == alone([1])
        assert isinstance(bad, EngineFailed)

    asyncio.run(main())


def test_a_stuck_model_is_told_and_who_waits_is_let_go(serve):
    async def main():
        clock, model = Clock(), Slow(free=False)
        engine = serve(model, worker=Worker(clock=clock, stuck_after_s=10.0))
        waiting = asyncio.create_task(whole(engine, job([1])))
        await until(lambda: engine.running == 1)
        assert engine.failure is None
        clock.now_s = 11.0
        assert "11 s" in engine.failure
        with pytest.raises(EngineFailed, match="11 s"):
            await waiting
        with pytest.raises(EngineFailed):
            await whole(engine, job([1]))
        model.gate.release(1000)

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_told_and_who_waits_is_let_go(serve):
    class Dies(BaseException):
        pass

    def die(ids_BL, cache):
        raise Dies

    async def main():
        model = Slow()
        model.at[3] = die
        engine = serve(model)
        with pytest.raises(EngineFailed, match="ended"):
            await whole(engine, job([1]))
        assert "ended" in engine.failure
        with pytest.raises(EngineFailed):
            await engine.run(len, [1])

    asyncio.run(main())


def test_a_closed_engine_lets_everybody_go(serve):
    async def main():
        model = Slow(free=False)
        engine = serve(model, slots=1)
        waiting = [asyncio.create_task(whole(engine, job([n + 1]))) for n in range(3)]
        await until(lambda: engine.running + engine.waiting == 3)
        model.gate.release(1000)
        await asyncio.to_thread(engine.close)
        for found in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(found, EngineFailed) or text_of(found)[1] == "length"
        assert engine.running == engine.waiting == 0

    asyncio.run(main())


@pytest.mark.parametrize("prompt", [[], [10**6], [-1], [1] * 510])
def test_a_wrong_prompt_is_the_clients_mistake(serve, prompt):
    async def main():
        engine = serve(Slow())
        with pytest.raises(UserError) as caught:
            await whole(engine, job(prompt))
        assert not isinstance(caught.value, EngineFailed | Busy)
        assert text_of(await whole(engine, job([1]))) == alone([1])

    asyncio.run(main())


# ---- examples in batches ----


def test_examples_that_wait_are_answered_together_and_each_gets_its_own(serve):
    batches = []

    def double(examples):
        batches.append(len(examples))
        return [2 * example for example in examples]

    async def main():
        engine = serve(Slow(), gather_s=0.05)
        return await asyncio.gather(*(engine.run(double, range(10 * n, 10 * n + n % 4)) for n in range(20)))

    assert asyncio.run(main()) == [[2 * example for example in range(10 * n, 10 * n + n % 4)] for n in range(20)]
    assert len(batches) < 10


def test_a_wrong_example_fails_its_own_job_only(serve):
    def strict(examples):
        if 7 in examples:
            raise UserError("7 is no example")
        if 8 in examples:
            raise RuntimeError("secret")
        return list(examples)

    async def main():
        engine = serve(Slow(), gather_s=0.05)
        runs = (engine.run(strict, [n]) for n in range(10))
        return await asyncio.gather(*runs, return_exceptions=True)

    found = asyncio.run(main())
    assert [one for one in found if isinstance(one, list)] == [[n] for n in range(10) if n not in (7, 8)]
    assert str(found[7]) == "7 is no example"
    assert isinstance(found[8], EngineFailed)
    assert "secret" not in str(found[8])


def test_texts_are_written_on_between_the_parts_of_a_large_job(serve):
    async def main():
        model = Slow()
        engine = serve(model)
        passes = []

        def slow(examples):
            passes.append(model.passes)
            return list(examples)

        writing = asyncio.create_task(whole(engine, job([1], SamplingSettings(temperature=0, max_tokens=300))))
        await until(lambda: model.passes > 0)
        assert await engine.run(slow, range(1000)) == list(range(1000))
        await writing
        return passes

    passes = asyncio.run(main())
    assert len(passes) == 16
    assert len(set(passes)) > 8


# ---- no growth (S13) ----


def test_many_requests_leave_nothing_behind(serve):
    async def main():
        engine = serve(Slow(), prefix_bytes=50_000)
        rng = np.random.default_rng(0)
        for _ in range(20):
            asked = (job(rng.integers(60, size=20).tolist(), SamplingSettings(max_tokens=3)) for _ in range(20))
            await asyncio.gather(*(whole(engine, one) for one in asked))
        await until(lambda: engine.running == 0)
        assert engine._texts._cache is None
        assert engine._texts.rows == 0
        assert not engine._queue
        assert not engine._working
        assert not engine._batches._jobs
        assert engine._texts._prefixes.nbytes <= 50_000

    asyncio.run(main())
