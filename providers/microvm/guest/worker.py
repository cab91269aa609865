"""Runs a world's Python: one scope for as long as the world lives."""

import _ast
import _thread
import builtins
import datetime
import gc
import hashlib
import json
import os
import random
import sys
import time
import traceback
import types

MAX_RESULT = 1_048_576
MAX_OUTPUT = 65_536
MAX_MESSAGE = 4_096
MAX_LINES = 256
BULK_PIECES = 128
FILE = "<world>"
ONLY_AST = 0x400

# The parts that json.loads and json.dumps are made of, put together once: a restored machine pays dearly for every
# instruction that it meets for the first time.
scan = json.JSONDecoder().scan_once
quote = json.encoder.encode_basestring_ascii


def refuse(value):
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def encoder():
    return json.encoder.c_make_encoder({}, refuse, quote, None, ":", ",", False, False, False)


to_json = encoder()


class Stream:
    """Replayable bytes in the place of the kernel's, whose pool no one can put back."""

    def __init__(self, seed):
        self.seed = seed
        self.count = 0

    def bytes(self, size):
        out = bytearray()
        while len(out) < size:
            out += hashlib.sha256(self.seed + self.count.to_bytes(8, "little")).digest()
            self.count += 1
        return bytes(out[:size])


class Clock:
    """A replayable world's time: within a run it moves by a microsecond a look."""

    def __init__(self):
        self.ns = 0

    def time_ns(self):
        self.ns += 1_000
        return self.ns

    def time(self):
        return self.time_ns() / 1e9


class Host:
    """Where answers go, and before them, when the host listens, what the program writes: the first lines one by one, the rest
    in bulk, since each time takes the machine a while."""

    def __init__(self, fd):
        self.fd = fd
        self.pid = os.getpid()
        # A program may have threads.
        self.lock = _thread.allocate_lock()
        self.hears = False
        self.said = 0

    def listen(self, hears):
        self.hears = hears
        self.said = 0

    def hear(self, output, text):
        """Keeps what is written to a stream, and tells it at the end of a line, or when nothing more is written now."""
        with self.lock:
            kept = output.keep(text)
            if not self.hears or os.getpid() != self.pid:
                return
            output.untold.append(kept)
            if kept and "\n" not in kept:
                return
            self.said += 1
            if self.said > MAX_LINES and len(output.untold) < BULK_PIECES:
                return
            untold = "".join(output.untold)
            output.untold.clear()
            if untold:
                self.write({"stream": output.name, "text": untold})

    def answer(self, message):
        with self.lock:
            self.hears = False
            self.write(message)

    def write(self, message):
        line = ("".join(to_json(message, 0)) + "\n").encode()
        wrote = os.write(self.fd, line)
        while wrote < len(line):
            wrote += os.write(self.fd, line[wrote:])


class Output:
    """A program's stdout or stderr, as far as it is kept. What its child processes write comes after its own."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, fd, name, host):
        self.fd = fd
        self.name = name
        self.host = host
        self.parts = []
        self.untold = []
        self.left = MAX_OUTPUT
        os.dup2(os.memfd_create("output"), fd)

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self.left > 0:
            if self.host.hears:
                self.host.hear(self, text)
            else:
                self.keep(text)
        return len(text)

    def keep(self, text):
        kept = text[: self.left]
        self.left -= len(kept)
        self.parts.append(kept)
        return kept

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        if self.host.hears:
            self.host.hear(self, "")

    def isatty(self):
        return False

    def fileno(self):
        return self.fd

    def take(self):
        """Gives what was written, and forgets it."""
        text = "".join(self.parts)
        self.parts.clear()
        self.untold.clear()
        self.left = MAX_OUTPUT
        if os.lseek(self.fd, 0, os.SEEK_CUR) > 0:
            text += os.pread(self.fd, MAX_OUTPUT, 0).decode(errors="replace")
            os.ftruncate(self.fd, 0)
            os.lseek(self.fd, 0, os.SEEK_SET)
        return text[:MAX_OUTPUT]


def serve(requests, answers):
    """Answers requests for ever."""
    requests = os.dup2(requests, 200, False)
    answers = os.dup2(answers, 201, False)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.closerange(3, 200)
    sys.stdin = open(0, closefd=False)
    host = Host(answers)
    out, err = Output(1, "stdout", host), Output(2, "stderr", host)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.path.insert(0, os.getcwd())
    scope = main.__dict__
    lines = open(requests, "rb")
    still = None
    gc.collect()
    gc.freeze()
    while True:
        request, _ = scan(lines.readline().decode(), 0)
        seed = request["seed"]
        if seed is not None:
            seed = sum(word << 32 * i for i, word in enumerate(seed))
            random.seed(seed)
        if request["still"] is not None:
            still = still or keep_still()
            if seed is not None:
                still.stream.seed, still.stream.count = seed.to_bytes(16, "little"), 0
            still.clock.ns = request["still"] * 1_000_000
        sys.stdout, sys.stderr = out, err
        host.listen(request["heard"])
        answer = run(request["code"], scope)
        host.listen(False)
        answer["stdout"], answer["stderr"] = out.take(), err.take()
        host.answer(answer)


def run(code, scope):
    try:
        value = evaluate(code, scope)
    except MemoryError:
        return failed("OUT_OF_MEMORY", "the program ran out of memory")
    except BaseException as error:
        return failed("PROGRAM_ERROR", told(error), stack(error))
    try:
        text = "".join(encoder()(value, 0))
    except MemoryError:
        return failed("OUT_OF_MEMORY", "the program's result ran out of memory")
    except BaseException as error:
        return failed("RESULT_INVALID", f"the program's result is not JSON: {told(error)}")
    if len(text) > MAX_RESULT:
        return failed("RESULT_INVALID", f"the program's result has {len(text)} characters of JSON, at most {MAX_RESULT}")
    return {"json": text}


def evaluate(code, scope):
    """Runs a program; gives the value of the expression that ends it, awaited, or None."""
    tree = compile(code, FILE, "exec", ONLY_AST)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
    try:
        exec(compile(tree, FILE, "exec"), scope)
        if last is None:
            return None
        value = eval(compile(_ast.Expression(last.value), FILE, "eval"), scope)
        if type(value) is not types.CoroutineType:
            return value
        import asyncio

        return asyncio.run(value)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
        return None


def failed(code, message, stack=""):
    return {"error": {"code": code, "message": message, "stack": stack}}


def told(error):
    try:
        return f"{type(error).__name__}: {error}"[:MAX_MESSAGE]
    except BaseException:
        return f"{type(error).__name__}: something that cannot be told"


def stack(error):
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != FILE:
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace))[-MAX_MESSAGE:]
    except BaseException:
        return ""


def keep_still():
    """Puts a replayable clock and random source where programs look for them. Gives what they read."""
    clock, stream = Clock(), Stream(b"")

    class Datetime(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(clock.time(), tz)

        @classmethod
        def utcnow(cls):
            return cls.now(datetime.timezone.utc).replace(tzinfo=None)

        @classmethod
        def today(cls):
            return cls.now()

    Datetime.__name__ = Datetime.__qualname__ = "datetime"
    os.urandom = random._urandom = stream.bytes
    time.time, time.time_ns = clock.time, clock.time_ns
    datetime.datetime = Datetime
    return types.SimpleNamespace(clock=clock, stream=stream)
