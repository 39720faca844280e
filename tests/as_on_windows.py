"""Program text that makes a Python on Linux lack what Python on Windows lacks.

It is put at the beginning of a program of its own: what it does cannot be taken back. What
others have made must have been imported before it.
"""

AS_ON_WINDOWS = """
import ctypes, os, signal, socket, subprocess, sys, types
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty", "uvloop"):
    sys.modules[name] = None
for module, missing in (
    (os, "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK WNOHANG fchmod fork getegid geteuid getgid"
         " getpgrp getsid getuid killpg memfd_create mkfifo pidfd_open pread register_at_fork"
         " sched_getaffinity set_blocking setsid sysconf wait4"),
    (signal, "SIGALRM SIGCHLD SIGHUP SIGKILL SIGRTMAX SIGSTOP SIGUSR1 SIG_BLOCK SIG_SETMASK"
             " pidfd_send_signal pthread_sigmask"),
    (socket, "AF_UNIX SOCK_SEQPACKET SO_PEERCRED recv_fds send_fds"),
):
    for name in missing.split():
        if hasattr(module, name):
            delattr(module, name)
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
ctypes.WinDLL = ctypes.CDLL
os.O_BINARY, os.O_NOINHERIT, signal.SIGBREAK = 0x8000, 0x80, signal.SIGTTIN
subprocess.CREATE_NO_WINDOW, subprocess.CREATE_NEW_PROCESS_GROUP = 0x08000000, 0x200
sys.platform = "win32"
"""
