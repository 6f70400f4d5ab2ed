"""Many live streams on one model, computed together: an asyncio server of streams.

    async with StreamServer(codec.load()) as server:
        stream = server.encoder(kbps=6)
        await stream.push(chunk)            # waits while the stream is full
        await stream.finish()
        async for codes in stream: ...

Frames of all streams that have some are the rows of one batch. Streams come and go at any time, one that has
nothing to compute or whose results nobody takes is left out, and each gets what it would get by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import numpy as np

from codec.codec import Codec
from codec.errors import CodecError, ConfigError
from codec.server_rows import DecoderRow, EncoderRow, StreamRow

# Pieces that wait before a stream and after it; a piece has at most so many frames.
_QUEUE = 16
_PIECE_FRAMES = 8
# Frames of one row that a batch takes: few, so that a stream in a hurry does not wait for one that is not.
_BATCH_FRAMES = 8

_END = None


class ServerStream:
    """One stream of a server. Its results are iterated over: arrays of codes or of audio.

    Made by `StreamServer.encoder` and `StreamServer.decoder`. As a context manager it is cancelled at the
    end, if it has not ended by itself.
    """

    def __init__(self, server: StreamServer, row: StreamRow) -> None:
        self._server, self._row = server, row
        self._in: asyncio.Queue[np.ndarray | None] = asyncio.Queue(_QUEUE)
        self._out: asyncio.Queue[np.ndarray | CodecError | None] = asyncio.Queue()
        self._finished = self._cancelled = self._ended = False

    async def push(self, chunk: np.ndarray) -> None:
        """Takes a chunk, and waits while too much of this stream is not computed yet.

        An encoder takes float samples `[samples]`, a decoder codes uint16 `[codebooks, frames]`.

        Raises:
            AudioError, ConfigError: a chunk that makes no sense; the stream goes on without it.
            ConfigError: the stream has ended.
        """
        pieces = self._row.pieces(chunk, _PIECE_FRAMES)
        for piece in pieces:
            self._require_open()
            await self._in.put(piece)
            self._server._wake.set()

    async def finish(self) -> None:
        """Says that nothing more comes; what is left is computed, and iterating then ends."""
        self._require_open()
        self._finished = True
        await self._in.put(_END)
        self._server._wake.set()

    def cancel(self) -> None:
        """Ends the stream at once; nothing more comes out of it, and who waits for it gets an end."""
        if self._ended:
            return
        self._cancelled = self._ended = True
        self._server._streams.discard(self)
        for queue in (self._in, self._out):
            while not queue.empty():
                queue.get_nowait()
        self._out.put_nowait(_END)

    def __aiter__(self) -> ServerStream:
        return self

    async def __anext__(self) -> np.ndarray:
        item = await self._out.get()
        self._server._wake.set()
        if item is _END:
            self._out.put_nowait(_END)  # for whoever asks again
            raise StopAsyncIteration
        if isinstance(item, CodecError):
            self._out.put_nowait(_END)
            raise item
        return item

    async def __aenter__(self) -> ServerStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def _require_open(self) -> None:
        if self._finished or self._cancelled:
            raise ConfigError("This stream has ended: open another one.")

    def _fill(self) -> bool:
        """Takes what has arrived; whether there is something to compute, and room for the result."""
        while self._row.frames < _BATCH_FRAMES and not self._row.closed and not self._in.empty():
            piece = self._in.get_nowait()
            if piece is _END:
                self._row.close()
            else:
                self._row.take(piece)
        room = self._server._closing or self._out.qsize() < _QUEUE
        return room and (self._row.frames > 0 or self._row.closed)

    def _give(self, made: np.ndarray | CodecError | None) -> None:
        if self._cancelled:
            return
        if made is None or isinstance(made, CodecError):
            self._ended = self._finished = True
            self._server._streams.discard(self)
        if made is None or isinstance(made, CodecError) or made.shape[-1]:
            self._out.put_nowait(made)


class StreamServer:
    """Computes the streams of one model on one thread, while the event loop goes on.

    Args:
        model: whatever runs it; onnxruntime is the faster for most.
        gather: seconds to wait for more streams once there is work, so that more of them share a batch. It
            is a part of the latency.

    Raises:
        ConfigError: a model whose streams cannot be rows of one batch.
    """

    def __init__(self, model: Codec, *, gather: float = 0.0) -> None:
        facts = model.engine.facts
        if not model.streams or facts.lead > 1 or not facts.fills:
            raise ConfigError(f"{model.name} does not fit a server: its streams begin or end unlike others.")
        self._model, self._engine, self._gather = model, model.engine, gather
        self._streams: set[ServerStream] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="codec-streams")
        self._decoder = self._engine.row_decoder()

    def encoder(
        self,
        *,
        sample_rate: int | None = None,
        kbps: float | None = None,
        codebooks: int | None = None,
        vbr: float | None = None,
    ) -> ServerStream:
        """A stream of one channel to encode; results are codes uint16 `[codebooks, frames]`.

        Args:
            sample_rate: of what is pushed, Hz. kbps, codebooks, vbr: as in `Codec.encode`.

        Raises:
            ConfigError: a rate that the model lacks, or the server is closed.
        """
        sizes, price = self._model.choice_for(kbps, codebooks, vbr)
        rate = self._model.sample_rate if sample_rate is None else sample_rate
        encoder = self._engine.row_encoder(sizes, price)
        return self._open(EncoderRow(self._model, encoder, sizes, rate, price))

    def decoder(
        self, *, sample_rate: int | None = None, codebook_sizes: Sequence[int] | None = None
    ) -> ServerStream:
        """A stream of one channel to decode; results are audio float32 `[samples]` at sample_rate (Hz).

        Raises:
            ModelError: codebooks that the model does not have.
            ConfigError: the server is closed.
        """
        sizes = self._model.codebook_sizes if codebook_sizes is None else tuple(codebook_sizes)
        self._model.check_sizes(sizes)
        rate = self._model.sample_rate if sample_rate is None else sample_rate
        return self._open(DecoderRow(self._model, self._engine.decoding(sizes), self._decoder, sizes, rate))

    async def __aenter__(self) -> StreamServer:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(cancel=error is not None)

    async def close(self, *, cancel: bool = False) -> None:
        """Ends the server when all finished streams are computed; those that are not finished are cancelled.

        cancel: ends those too.
        """
        self._closing = True
        for stream in list(self._streams):
            if cancel or not stream._finished:
                stream.cancel()
        self._wake.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    def _open(self, row: StreamRow) -> ServerStream:
        if self._closing or self._task is None:
            raise ConfigError("The server is not running: open streams inside `async with server`.")
        stream = ServerStream(self, row)
        self._streams.add(stream)
        return stream

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closing or self._streams:
            self._wake.clear()
            if not any(stream._fill() for stream in self._streams):
                for stream in self._streams:
                    stream._row.pause()
                await self._wake.wait()
                continue
            if self._gather:
                await asyncio.sleep(self._gather)
            groups: dict[object, list[ServerStream]] = {}
            for stream in self._streams:
                if stream._fill():
                    groups.setdefault(stream._row.group, []).append(stream)
                else:
                    stream._row.pause()
            for streams in groups.values():
                made = await loop.run_in_executor(self._thread, _compute, [s._row for s in streams])
                for stream, items in zip(streams, made, strict=True):
                    for item in items:
                        stream._give(item)


def _compute(rows: list[StreamRow]) -> list[list[np.ndarray | CodecError | None]]:
    """What each row makes of its next frames; None after its last."""
    working = [row for row in rows if row.frames]
    made: dict[int, list[np.ndarray | CodecError | None]] = {id(row): [] for row in rows}
    try:
        _step(working, made)
    except Exception:
        # One of them, perhaps: each by itself, so that the others go on.
        for row in working:
            try:
                _step([row], made)
            except Exception as error:
                made[id(row)] = [CodecError(f"This stream failed: {error}")]
    for row in rows:
        results = made[id(row)]
        failed = results and isinstance(results[-1], CodecError)
        if row.closed and not row.frames and not failed:
            rest = row.rest()
            results += [rest, None] if rest.shape[-1] else [None]
    return [made[id(row)] for row in rows]


def _step(rows: list[StreamRow], made: dict[int, list[np.ndarray | CodecError | None]]) -> None:
    if not rows:
        return
    frames = min(_BATCH_FRAMES, *(row.frames for row in rows))
    for row, result in zip(rows, rows[0].step(rows, frames), strict=True):
        made[id(row)].append(result)
