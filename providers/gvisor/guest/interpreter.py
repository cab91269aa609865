"""The process that runs Python programs: one namespace, kept for as long as the world lives.

It answers with `done`, a program's value as JSON after it, or `failed` and a JSON object that says how. What is imported
here is in every image of every world: only what is small.
"""

import _ast
import builtins
import json
import os
import random
import resource
import sys
import types

import state

MAX_VALUE = 1_048_576
MAX_TEXT = 4_096
FILE = '<program>'


def serve(reader, writer):
    main = types.ModuleType('__main__')
    main.__dict__['__builtins__'] = builtins
    sys.modules['__main__'] = main
    sys.path[0] = '/world'
    sys.argv = ['']
    sys.stdout = open(1, 'w', buffering=1, closefd=False)
    sys.stderr = open(2, 'w', buffering=1, closefd=False)
    mine = os.getpid()
    while True:
        length = int.from_bytes(read(reader, 4), 'big')
        op = read(reader, 4)
        answer = handle(op, read(reader, length), main)
        if os.getpid() != mine:
            # A child that a program forked and let run on into here.
            os._exit(0)
        lift_limit()
        digest, is_whole = state.digest(main)
        head = len(answer).to_bytes(4, 'big') + digest.encode() + (b'w' if is_whole else b'o')
        write(writer, head + answer)


def handle(op, payload, main):
    if op == b'seed':
        random.seed(int(payload))
    if op != b'run ':
        return b'donenull'
    for finder in sys.meta_path:
        # A program may have written a module within the same second as the last look at its folder.
        if hasattr(finder, 'invalidate_caches'):
            finder.invalidate_caches()
    try:
        return b'done' + encode(run(payload, main.__dict__))
    except NotJson as error:
        return failure('RESULT_INVALID', error)
    except MemoryError:
        # What the program held is let go before anything else is done.
        return b'failed{"code":"OUT_OF_MEMORY","name":"MemoryError","message":"","stack":""}'
    except BaseException as error:
        return failure('PROGRAM_ERROR', error)
    finally:
        flush()


def run(code, scope):
    """The value of the last line, when that is an expression; awaited when it is a coroutine."""
    tree = compile(code, FILE, 'exec', _ast.PyCF_ONLY_AST)
    last = None
    if tree.body and isinstance(tree.body[-1], _ast.Expr):
        last = _ast.Expression(tree.body.pop().value)
    try:
        exec(compile(tree, FILE, 'exec'), scope)
        value = eval(compile(last, FILE, 'eval'), scope) if last else None
        if isinstance(value, types.CoroutineType):
            import asyncio

            value = asyncio.run(value)
        return value
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
        return None


class NotJson(Exception):
    pass


def encode(value):
    try:
        text = json.dumps(value, allow_nan=False, separators=(',', ':'))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(f'{type(value).__name__} is not JSON: {error}') from None
    if len(text) > MAX_VALUE:
        raise NotJson(f'the result has {len(text)} bytes of JSON, at most {MAX_VALUE}')
    return text.encode()


def failure(code, error):
    try:
        message = str(error)[:MAX_TEXT]
    except BaseException:
        message = ''
    told = {
        'code': code,
        'name': type(error).__name__,
        'message': message,
        'stack': trace(error.__traceback__)[:MAX_TEXT],
    }
    return b'failed' + json.dumps(told).encode()


def trace(traceback):
    """The program's own frames, innermost last."""
    lines = []
    while traceback is not None:
        frame = traceback.tb_frame.f_code
        if frame.co_filename != __file__:
            lines.append(f'{frame.co_filename}:{traceback.tb_lineno} in {frame.co_name}')
        traceback = traceback.tb_next
    return '\n'.join(lines[-40:])


def lift_limit():
    """From the program's share of memory to the interpreter's, which is somewhat more."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            # The program replaced or closed it.
            continue


def read(fd, length):
    data = b''
    while len(data) < length:
        more = os.read(fd, length - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


def write(fd, data):
    while data:
        data = data[os.write(fd, data) :]
