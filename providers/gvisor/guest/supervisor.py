"""The first process of a world: answers the host over stdin and stdout.

It runs as root of the world, and does nothing that a program asks for. Programs run as another user: Python in an
interpreter that lives as long as the world, shell programs in a shell of their own. Between runs every process but this
one is stopped, so that a world moves only while the host waits for it.

The host ends a run that takes too long, or too much memory, by ending the world; nothing here keeps time.

A message, either way, is a line of words, the last of which is the length of the bytes that follow it. The host says
`ping`, `seed NUMBER` or `run LANGUAGE MEMORY` (with the program); it is told `ready`, `stdout` and `stderr` (with what was
written), and in answer `pong`, `python ROOT OPAQUE` (with the interpreter's own answer), `sh STATUS ROOT OPAQUE` (with what
the shell gave as its result) or `lost` (with why). OPAQUE is `opaque` or `whole`.

What is imported here is in every image of every world, and so is what that imports: only what is small.
"""

import _signal as signal
import os
import stat
import sys

USER = 1000
HOME = '/world'
WRITABLE = ('/world', '/tmp', '/dev/shm')
MAX_OUTPUT = 65_536
MAX_ANSWER = 4_194_304
# What an interpreter may take beyond a program's memory to say that it had too little.
RESERVE = 67_108_864
PROCESSES = 64
FILES = 256
ENVIRONMENT = {'PATH': '/usr/bin:/usr/sbin', 'HOME': HOME, 'LANG': 'C.UTF-8', 'TZ': 'UTC'}
# Of an interpreter's answer: its length, a digest of its state, and whether there is more to that.
HEAD = 4 + 64 + 1


class Lost(Exception):
    """The interpreter has ended, or answers nonsense: the world cannot go on."""


class Stream:
    """One output of a run: passed on up to a bound, then read and dropped."""

    def __init__(self, name):
        self.name = name
        self.left = 0
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def pass_on(self):
        while True:
            try:
                data = os.read(self.reader, 65_536)
            except BlockingIOError:
                return
            kept = data[: self.left]
            self.left -= len(kept)
            if kept:
                tell(kept, self.name)


def tell(data, *words):
    line = ' '.join((*words, str(len(data))))
    data = line.encode() + b'\n' + data
    while data:
        data = data[os.write(1, data) :]


class Supervisor:
    def __init__(self):
        self.out = Stream('stdout')
        self.err = Stream('stderr')
        self.null = os.open('/dev/null', os.O_RDWR)
        # Stands for all that has run in the world.
        self.history = b''
        self.wake, waker = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(waker, False)
        self.interpreter, self.channel = self.start_interpreter()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        load()
        self.ask(b'ping', b'')
        self.base = address_space(self.interpreter)
        self.freeze()

    def start_interpreter(self):
        request_reader, request_writer = os.pipe()
        answer_reader, answer_writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                load()
                become_user((self.null, self.out.writer, self.err.writer))
                for fd in range(3, answer_writer + 1):
                    if fd not in (request_reader, answer_writer):
                        close(fd)
                import interpreter

                interpreter.serve(request_reader, answer_writer)
            finally:
                os._exit(1)
        os.close(request_reader)
        os.close(answer_writer)
        os.set_blocking(answer_reader, False)
        os.set_blocking(request_writer, False)
        return pid, (answer_reader, request_writer)

    def answer(self, op, words, payload):
        if op == 'ping':
            return tell(b'', 'pong')
        self.out.left = self.err.left = MAX_OUTPUT
        signal_all(signal.SIGCONT)
        try:
            if op == 'seed':
                said, digest, is_opaque = self.ask(b'seed', words[0].encode())
                head = ['python']
            elif words[0] == 'sh':
                status, said = self.run_shell(payload, int(words[1]))
                _, digest, is_opaque = self.ask(b'ping', b'')
                head = ['sh', str(status)]
            else:
                limit(self.interpreter, self.base + int(words[1]))
                said, digest, is_opaque = self.ask(b'run', payload)
                head = ['python']
        except Lost as lost:
            return tell(str(lost).encode(), 'lost')
        finally:
            self.out.pass_on()
            self.err.pass_on()
        self.freeze()
        history = sha256(self.history + payload).digest()
        root, is_opaque = self.root(digest, is_opaque, history)
        # What failed is no part of the past: the host takes the world back to before it, or it changed nothing.
        if said.startswith(b'done') or head == ['sh', '0']:
            self.history = history
        tell(said, *head, root, 'opaque' if is_opaque else 'whole')

    def run_shell(self, code, memory_bytes):
        """The shell's exit status, and what it wrote as its result."""
        reader, writer = os.pipe()
        script = os.memfd_create('program')
        while code:
            code = code[os.write(script, code) :]
        pid = os.fork()
        if pid == 0:
            try:
                os.set_inheritable(script, True)
                become_user((self.null, self.out.writer, self.err.writer, writer))
                limit(0, self.base + memory_bytes)
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.execve('/bin/sh', ['sh', f'/proc/self/fd/{script}'], ENVIRONMENT)
            except BaseException as error:
                os.write(2, f'{error}\n'.encode())
            finally:
                os._exit(127)
        os.close(writer)
        os.close(script)
        os.set_blocking(reader, False)
        value, is_open, status = b'', True, None
        try:
            while status is None:
                self.wait([reader] if is_open else [])
                for done, how in reap():
                    if done == pid:
                        status = os.waitstatus_to_exitcode(how)
                    if done == self.interpreter:
                        raise Lost('the world has no interpreter any more')
                data, is_open = drain(reader, MAX_ANSWER - len(value))
                value += data
        finally:
            os.close(reader)
        return status, value

    def ask(self, op, payload):
        """Has the interpreter do something, and passes on what is written meanwhile."""
        reader, writer = self.channel
        data = len(payload).to_bytes(4, 'big') + op.ljust(4) + payload
        answer = b''
        while True:
            data = push(writer, data)
            more, is_open = drain(reader, HEAD + MAX_ANSWER - len(answer))
            answer += more
            if len(answer) >= HEAD:
                length = int.from_bytes(answer[:4], 'big')
                if length > MAX_ANSWER:
                    raise Lost(f'the interpreter answers with {length} bytes')
                if len(answer) >= HEAD + length:
                    return answer[HEAD : HEAD + length], answer[4:68], answer[68:69] != b'w'
            for pid, how in reap():
                if pid == self.interpreter:
                    code = os.waitstatus_to_exitcode(how)
                    raise Lost(f'the program ended its interpreter, with {code}')
            if not is_open:
                raise Lost('the program closed its interpreter')
            self.wait([reader], [writer] if data else [])

    def wait(self, readers, writers=()):
        """Until something can be read or written, or a child ends. The end of the host's side is the end of the world."""
        poll = select.poll()
        for fd in (0, self.wake, self.out.reader, self.err.reader, *readers):
            poll.register(fd, select.POLLIN)
        for fd in writers:
            poll.register(fd, select.POLLOUT)
        ready = dict(poll.poll())
        if 0 in ready:
            os._exit(0)
        if self.wake in ready:
            drain(self.wake, 0)
        self.out.pass_on()
        self.err.pass_on()

    def freeze(self):
        """Stops every other process, and returns when all are."""
        while True:
            signal_all(signal.SIGSTOP)
            reap()
            if all(state in 'TtZX' for _, state in processes()):
                return
            os.sched_yield()

    def root(self, digest, is_opaque, history):
        """The state root, as far as the state can be told; where it cannot, the world's whole past stands for it."""
        others = [pid for pid, _ in processes() if pid != self.interpreter]
        content, is_whole = files()
        is_opaque = is_opaque or not is_whole or bool(others)
        whole = sha256()
        for part in (digest, content, *(command(pid) for pid in others)):
            whole.update(sha256(part).digest())
        if is_opaque:
            whole.update(history)
        return whole.hexdigest(), is_opaque


def load():
    """What each of the two processes needs for itself: loaded after they part, or both would keep all of it."""
    global resource, select, sha256
    import resource
    import select

    from sha import sha256


def become_user(standard):
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for at, fd in enumerate(standard):
        os.dup2(fd, at)
    os.chdir(HOME)
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)


def limit(pid, size):
    resource.prlimit(pid, resource.RLIMIT_AS, (size, size + RESERVE))


def processes():
    """Every process but this one, with its state."""
    found = []
    for name in os.listdir('/proc'):
        if not name.isdigit() or name == '1':
            continue
        try:
            with open(f'/proc/{name}/stat') as file:
                found.append((int(name), file.read().rpartition(')')[2].split()[0]))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return sorted(found)


def command(pid):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b''


def files():
    """Hashes what the world may write, names, kinds, modes and contents; and whether that could all be read."""
    total, is_whole = sha256(), True
    for top in WRITABLE:
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(folders + names):
                path = os.path.join(folder, name)
                try:
                    mode, content = look(path)
                except OSError:
                    mode, content, is_whole = 0, b'', False
                head = f'{len(path)} {path} {mode:o} {len(content)} '
                total.update(head.encode(errors='surrogateescape') + content)
    return total.digest(), is_whole


def look(path):
    mode = os.lstat(path).st_mode
    if stat.S_ISREG(mode):
        content = sha256()
        with open(path, 'rb') as file:
            while data := file.read(1_048_576):
                content.update(data)
        return mode, content.digest()
    if stat.S_ISLNK(mode):
        return mode, os.readlink(path).encode(errors='surrogateescape')
    return mode, b''


def signal_all(number):
    try:
        os.kill(-1, number)
    except ProcessLookupError:
        pass


def reap():
    """Children that have ended, and how."""
    ended = []
    while True:
        try:
            pid, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, how))


def drain(fd, most):
    """What can be read now, up to `most` bytes, and whether more may come; what is over is dropped."""
    read = b''
    while True:
        try:
            data = os.read(fd, 65_536)
        except BlockingIOError:
            return read, True
        if not data:
            return read, False
        read += data[: max(0, most - len(read))]


def push(fd, data):
    """What is left of `data` when no more can be written now."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            return data
        except BrokenPipeError:
            return b''
    return data


def close(fd):
    try:
        os.close(fd)
    except OSError:
        pass


def address_space(pid):
    with open(f'/proc/{pid}/statm') as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def main():
    supervisor = Supervisor()
    tell(b'', 'ready')
    host = open(0, 'rb', closefd=False)
    while line := host.readline():
        op, *words, length = line.decode().split()
        supervisor.answer(op, words, host.read(int(length)))


if __name__ == '__main__':
    main()
