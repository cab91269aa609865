"""A digest of what an interpreter holds: equal for equal states, as far as Python lets one look.

Seen: everything reachable from the names of the main module and of modules in the world's own folder, through plain
values, containers, functions and their closures, classes, instances, generators in the middle of their loops, and
whatever built-in objects tell when asked to be copied; the random source; the working directory and the environment.
Not seen, and said to be missing: threads, open files, locks that are held, the frames of a traceback, and whatever does not
tell. Names of other modules count, their insides do not.
"""

import _io
import _random
import _thread
import collections
import copyreg
import marshal
import os
import random
import sys
import types
from _weakref import ReferenceType

from sha import sha256

HOME = '/world/'
# An interpreter with more objects than this, plain values apart, is not looked through to its end.
MAX_OBJECTS = 200_000
PLAIN = (int, float, complex, str, bytes, bool, type(None), type(...))
CONTAINERS = (list, tuple, dict, set, frozenset, collections.deque, types.MappingProxyType)
MARSHALLED = (list, tuple, dict, set, frozenset)
# Of longer containers so many elements are looked at together.
CHUNK = 4_096
HIDDEN = {'__builtins__', '__name__', '__doc__', '__package__', '__loader__', '__spec__', '__file__', '__cached__'}
UNTOLD = ('_abc_impl', '__dict__', '__weakref__', '__module__', '__doc__', '__static_attributes__', '__firstlineno__')


def digest(main):
    """The digest, and whether nothing was missed."""
    walk = Walk(sha256())
    try:
        walk.follow(roots(main))
    except BaseException as error:
        # A program's object that will not be looked at, or no memory left to look.
        return sha256(type(error).__name__.encode()).hexdigest(), False
    return walk.hash.hexdigest(), walk.is_whole


def roots(main):
    yield from main.__dict__.items()
    for name, module in sorted(sys.modules.items()):
        if str(getattr(module, '__file__', '')).startswith(HOME):
            yield name, vars(module)
    yield '.random', random.getstate()
    yield '.cwd', os.getcwd()
    yield '.environ', dict(os.environ)
    if len(sys._current_frames()) > 1:
        yield '.threads', Unseen()


class Unseen:
    """Stands for what is there and does not tell."""

    def __reduce_ex__(self, _):
        raise TypeError


class Walk:
    """Visits objects in the order in which they are met; one that was met before is named by its number."""

    def __init__(self, hash):
        self.hash = hash
        self.is_whole = True
        self.numbers = {}
        # Keeps every numbered object alive, so that no other takes its address.
        self.met = []
        self.shapes = {}

    def follow(self, named):
        for name, value in named:
            if name in HIDDEN:
                continue
            self.write('name', name)
            self.visit(value)
        at = 0
        while at < len(self.met):
            if at > MAX_OBJECTS:
                self.is_whole = False
                break
            self.describe(self.met[at])
            at += 1

    def write(self, *words):
        data = '\0'.join(words).encode(errors='surrogatepass')
        self.hash.update(len(data).to_bytes(8, 'little') + data)

    def visit(self, value):
        kind = type(value)
        is_small = kind in MARSHALLED and len(value) <= CHUNK
        if (is_small or kind in PLAIN or kind is types.CodeType) and self.plain(value):
            return
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.met)
            self.met.append(value)
        self.write('ref', str(number))

    def plain(self, value):
        """Whether a value is of plain values through and through, and taken in as such."""
        try:
            # Version 2 writes values alone: no references, so nothing of how they came to be.
            data = marshal.dumps(value, 2)
        except (ValueError, MemoryError):
            return False
        self.hash.update(b'v' + len(data).to_bytes(8, 'little') + data)
        return True

    def describe(self, value):
        kind = type(value)
        if is_own(kind) and not isinstance(value, type):
            self.write('own')
            return self.describe_instance(value, kind)
        self.write('object', kind.__module__, kind.__qualname__)
        if kind in CONTAINERS:
            self.contents(value)
        elif kind in PLAIN:
            # No memory was left to look at it.
            self.is_whole = False
        elif isinstance(value, types.ModuleType):
            self.write(value.__name__)
        elif kind is types.FunctionType:
            cells = [cell_value(cell) for cell in value.__closure__ or ()]
            self.parts(value.__code__, value.__defaults__, value.__kwdefaults__, value.__dict__, *cells)
        elif kind is types.MethodType:
            self.parts(value.__func__, value.__self__)
        elif kind is types.BuiltinFunctionType:
            self.write(value.__qualname__)
            self.visit(None if isinstance(value.__self__, types.ModuleType) else value.__self__)
        elif kind is types.GeneratorType:
            self.suspended(value.gi_code, value.gi_frame, value.gi_yieldfrom)
        elif kind is types.CoroutineType:
            self.suspended(value.cr_code, value.cr_frame, value.cr_await)
        elif kind is types.AsyncGeneratorType:
            self.suspended(value.ag_code, value.ag_frame, value.ag_await)
        elif isinstance(value, type):
            self.describe_class(value)
        elif kind in (property, staticmethod, classmethod):
            names = ('fget', 'fset', 'fdel') if kind is property else ('__func__',)
            self.parts(*(getattr(value, name) for name in names))
        elif kind is ReferenceType:
            self.parts(value(), value.__callback__)
        elif kind in (_thread.LockType, _thread.RLock):
            self.is_whole = self.is_whole and repr(value).startswith('<unlocked')
        elif isinstance(value, BaseException):
            self.describe_exception(value)
        elif isinstance(value, _io._IOBase) and value.closed:
            self.write('closed')
        else:
            self.ask(value, copyreg.dispatch_table.get(kind) or (lambda value: value.__reduce_ex__(4)))

    def parts(self, *values):
        for value in values:
            self.visit(value)

    def contents(self, value):
        if isinstance(value, (set, frozenset)):
            for each in sorted(alone(each) for each in list(value)):
                self.write(*each)
                self.is_whole = self.is_whole and each[1] == 'whole'
        else:
            is_map = isinstance(value, (dict, types.MappingProxyType))
            items = pairs(value) if is_map else list(value)
            for at in range(0, len(items), CHUNK):
                chunk = items[at : at + CHUNK]
                if not self.plain(chunk):
                    for each in chunk:
                        self.parts(*each) if is_map else self.visit(each)
        self.write('end')

    def suspended(self, code, frame, inner):
        self.visit(code)
        if frame is not None:
            self.write(str(frame.f_lasti))
            self.parts(dict(frame.f_locals), inner)

    def describe_class(self, value):
        self.write(value.__module__, value.__qualname__)
        if not is_own(value):
            return
        self.parts(type(value), *value.__bases__)
        for name, each in list(vars(value).items()):
            if name not in UNTOLD:
                self.write(name)
                self.visit(each)

    def describe_instance(self, value, kind):
        slots, foreign = self.shapes.get(kind) or self.shapes.setdefault(kind, shape(kind))
        self.visit(kind)
        self.visit(own_dict(value))
        for slot in slots:
            self.visit(slot_value(slot, value, kind))
        for base in foreign:
            if base in CONTAINERS:
                self.contents(value)
            elif base in PLAIN:
                self.visit(base.__repr__(value))
            elif issubclass(base, BaseException):
                self.describe_exception(value)
            else:
                self.ask(value, reducer(base))

    def describe_exception(self, value):
        self.parts(value.args, own_dict(value), value.__cause__, value.__context__)
        self.is_whole = self.is_whole and value.__traceback__ is None

    def ask(self, value, reduce):
        """Takes in what an object tells when it is to be copied."""
        try:
            told = reduce(value)
        except Exception:
            told = None
        if isinstance(told, str):
            self.write(told)
        elif isinstance(told, tuple):
            self.parts(*told)
        else:
            self.is_whole = False
            self.visit(own_dict(value))


def shape(kind):
    """Where instances of a class of the world keep what they hold: slots, and bases that were not written in Python."""
    slots, foreign = [], []
    for base in kind.__mro__:
        names = vars(base).get('__slots__', ())
        found = [vars(base).get(name) for name in ((names,) if isinstance(names, str) else names)]
        slots += [slot for slot in found if isinstance(slot, types.MemberDescriptorType)]
        if not (is_own(base) or is_python(base) or base in (object, Exception, *foreign)):
            foreign.append(base)
    return slots, foreign


def reducer(base):
    """How the instances of a class tell what that class keeps of them; None, which cannot be called, if they do not."""
    extended = vars(base).get('__reduce_ex__')
    if base is _random.Random:
        return random.Random.__reduce__
    return (lambda value: extended(value, 4)) if extended else vars(base).get('__reduce__')


def is_python(base):
    """Whether a class was written in Python: it has functions, or names its slots."""
    made = (types.FunctionType, classmethod, staticmethod, property)
    return '__slots__' in vars(base) or any(isinstance(each, made) for each in vars(base).values())


def pairs(value):
    return list(dict.items(value) if isinstance(value, dict) else value.items())


def alone(value):
    """An element of a set, told apart from everything around it: a set has no order to go by."""
    walk = Walk(sha256())
    walk.follow([('', value)])
    return walk.hash.hexdigest(), 'whole' if walk.is_whole else 'partly'


def is_own(kind):
    """Whether a class was made by a program of the world."""
    name = kind.__module__
    if name == '__main__' or name == 'builtins':
        return name == '__main__'
    module = sys.modules.get(name) if isinstance(name, str) else None
    return str(getattr(module, '__file__', '')).startswith(HOME)


def own_dict(value):
    try:
        return object.__getattribute__(value, '__dict__')
    except AttributeError:
        return None


def slot_value(slot, value, kind):
    try:
        return slot.__get__(value, kind)
    except AttributeError:
        return Unseen


def cell_value(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return Unseen
