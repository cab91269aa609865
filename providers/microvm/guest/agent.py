"""The guest's first process: takes requests from the host and hands each to the one long-lived interpreter of its
language, so that a world's variables live in that interpreter's memory.

It need not be trusted: time limits, taking a failed run back, and the end of a world are the host's. It is kept short,
because where the guest's processor is emulated, every instruction that a restored machine meets for the first time costs
a thousandfold."""

import codecs
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import time

import worker

PORT = "/dev/vport0p1"
VSOCK_PORT = 1024
USER = 1000
HOME = "/home/world"
MAX_PROCESSES = 128
MAX_OUTPUT = 65_536
MAX_RESULT = 1_048_576
CHUNK = 65_536
# Linux's ioctls: credit the kernel's random pool with entropy, and have it used at once.
RNDADDENTROPY = 0x40085203
RNDRESEEDCRNG = 0x5207
ENVIRONMENT = {"HOME": HOME, "PATH": "/usr/bin:/bin", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "TZ": "UTC"}
JAVASCRIPT = ["js", "--no-threads", "--no-ion", "--nursery-size=1", "-f", "/opt/agent/worker.js"]

# A request's head: what to do (the number of an interpreter, or one of the two below), how many of the last field's bytes
# are entropy, the wall clock in seconds, what a program may take beyond its interpreter's own memory, the length of the
# body that follows, entropy.
HEAD = struct.Struct("<BB6xdQI4x32s")
SHELL, SETTLE = 2, 3


class Interpreter:
    """A process that reads requests from a pipe and writes its answers where the host reads them."""

    def __init__(self, name, main, answers):
        requests, self.requests = os.pipe()
        self.name = name
        self.own_bytes = None
        self.limit = 0
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.requests)
            become_user()
            main(requests, answers)
        os.close(requests)

    def settle(self):
        """From now on its programs' memory is limited: to what they may take beyond what it has now."""
        with open(f"/proc/{self.pid}/status") as status:
            self.own_bytes = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))

    def ask(self, memory_bytes, body):
        if memory_bytes != self.limit and self.own_bytes is not None:
            limit = self.own_bytes + memory_bytes
            resource.prlimit(self.pid, resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
            self.limit = memory_bytes
        write_all(self.requests, body)


def write_all(fd, data):
    wrote = os.write(fd, data)
    while wrote < len(data):
        data = data[wrote:]
        wrote = os.write(fd, data)


def become_user():
    """Gives up everything but one user's rights. When memory runs out, it is a user's process that goes."""
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    resource.setrlimit(resource.RLIMIT_NPROC, (MAX_PROCESSES, MAX_PROCESSES))
    os.setsid()
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.chdir(HOME)
    os.umask(0o022)
    for name in (signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(name, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.environ.clear()
    os.environ.update(ENVIRONMENT)


def become(program, arguments, stdin, stdout, stderr):
    for source, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target)
    os.closerange(3, 256)
    os.execv(program, arguments)


def run_javascript(requests, answers):
    become("/usr/bin/js", JAVASCRIPT, requests, answers, os.open("/dev/null", os.O_WRONLY))


def run_shell(code, hear):
    """Runs a script to its end; what it leaves in the background lives on. Its value is what it writes on descriptor 3.
    Unless it is None, `hear` is told what is written, as it is."""
    pipes = [os.pipe() for _ in range(3)]
    pid = os.fork()
    if pid == 0:
        become_user()
        null = os.open("/dev/null", os.O_RDONLY)
        # Out of the way of the numbers that they are to have.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (null, *(end for _, end in pipes))]
        for target, fd in enumerate(ends):
            os.dup2(fd, target)
        os.closerange(4, 256)
        os.execv("/bin/sh", ["sh", "-c", code])
    for _, end in pipes:
        os.close(end)
    sources = [source for source, _ in pipes]
    limits = dict(zip(sources, (MAX_OUTPUT, MAX_OUTPUT, MAX_RESULT + 1)))
    texts = {source: bytearray() for source in sources}
    still_open = set(sources)
    names = dict(zip(sources, ("stdout", "stderr")))
    # A character may come in two pieces.
    decoders = {source: codecs.getincrementaldecoder("utf-8")("replace") for source in names} if hear else {}

    def take(ready):
        for fd in still_open.intersection(ready):
            chunk = os.read(fd, CHUNK)
            kept = chunk[: limits[fd] - len(texts[fd])]
            texts[fd] += kept
            if fd in decoders and (text := decoders[fd].decode(kept)):
                hear(names[fd], text)
            if not chunk:
                still_open.discard(fd)

    end = os.pidfd_open(pid)
    while end not in (ready := select.select([end, *still_open], [], [])[0]):
        take(ready)
    while ready := select.select([*still_open], [], [], 0)[0]:
        take(ready)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for fd in (end, *sources):
        os.close(fd)
    out, err, value = (texts[source].decode(errors="replace") for source in sources)
    answer = {"stdout": out, "stderr": err}
    if code != 0:
        why = f"exit code {code}" if code > 0 else f"signal {-code}"
        return answer | {"error": {"code": "PROGRAM_ERROR", "message": f"sh: {why}"}}
    return answer | {"json": value.strip() or "null"}


def add_entropy(seed):
    fcntl.ioctl(pool, RNDADDENTROPY, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
    fcntl.ioctl(pool, RNDRESEEDCRNG)


def encode(message):
    return json.dumps(message).encode() + b"\n"


def bury(host, interpreters):
    """Lets go of the dead; the end of an interpreter is its program's doing, and the host's to hear."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        for interpreter in interpreters:
            if interpreter.pid == pid:
                with open("/proc/vmstat") as events:
                    has_memory = "oom_kill 0\n" in events.read()
                code = "PROGRAM_ERROR" if has_memory else "OUT_OF_MEMORY"
                host.write(encode({"error": {"code": code, "message": f"the {interpreter.name} interpreter ended"}}))


class Serial:
    """The host at the other end of a virtio-serial port. Interpreters write to it themselves."""

    def __init__(self):
        self.answers = os.open(PORT, os.O_RDWR)

    def read(self):
        return os.read(self.answers, CHUNK)

    def write(self, data):
        write_all(self.answers, data)


class Vsock:
    """The host at the other end of a vsock. A restore cuts its connection; the listener outlives it."""

    def __init__(self):
        self.relayed, self.answers = os.pipe()
        self.listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        self.listener.bind((socket.VMADDR_CID_ANY, VSOCK_PORT))
        self.listener.listen()
        self.host = None

    def read(self):
        while True:
            if self.host is None:
                self.host, _ = self.listener.accept()
            ready, _, _ = select.select([self.host, self.relayed], [], [])
            if self.relayed in ready:
                self.write(os.read(self.relayed, CHUNK))
                continue
            try:
                chunk = self.host.recv(CHUNK)
            except ConnectionError:
                chunk = b""
            if chunk:
                return chunk
            self.host.close()
            self.host = None

    def write(self, data):
        self.host.sendall(data)


def main():
    host = Serial() if os.path.exists(PORT) else Vsock()
    interpreters = (
        Interpreter("python", worker.serve, host.answers),
        Interpreter("javascript", run_javascript, host.answers),
    )
    signal.signal(signal.SIGCHLD, lambda *_: bury(host, interpreters))
    if isinstance(host, Serial):
        host.write(encode({"ready": True}))
    buffer = b""
    while True:
        while len(buffer) < HEAD.size:
            buffer += host.read()
        language, entropy_bytes, now, memory_bytes, length, entropy = HEAD.unpack_from(buffer)
        end = HEAD.size + length
        while len(buffer) < end:
            buffer += host.read()
        body, buffer = buffer[HEAD.size : end], buffer[end:]
        time.clock_settime(time.CLOCK_REALTIME, now)
        if entropy_bytes > 0:
            add_entropy(entropy[:entropy_bytes])
        if language == SHELL:
            # Its end is for run_shell to see.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            request = json.loads(body)
            hear = (lambda stream, text: host.write(encode({"stream": stream, "text": text}))) if request["heard"] else None
            answer = run_shell(request["code"], hear)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            host.write(encode(answer))
        elif language == SETTLE:
            for interpreter in interpreters:
                interpreter.settle()
            host.write(encode({"json": "null"}))
        else:
            interpreters[language].ask(memory_bytes, body)


pool = open("/dev/urandom", "wb", buffering=0)
main()
