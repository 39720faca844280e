"""The attacks of the hostile suite: what stops each, and why one may be shut even without."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack; its function in ``scripts/attack.py`` has the same name."""

    name: str
    subject: str
    """What of ``RunFact.enforced`` stops it: where that is on, the attack must fail."""
    excuse: str = ""
    """Why it may fail even without confinement: a key of ``excuses.HOLDS``."""
    is_open_with_processes: bool = False
    """Whether it is open again for a run that may start processes."""


def _all(subject: str, *names: str, excuse: str = "", is_open: bool = False) -> list[Attack]:
    return [
        Attack(name=name, subject=subject, excuse=excuse, is_open_with_processes=is_open)
        for name in names
    ]


ATTACKS: Final = (
    *_all(
        "files",
        "read_vault_key", "read_database", "read_code_of_another", "read_log_of_another",
        "read_work_of_another", "read_journal_of_the_agent", "read_through_a_symbolic_link",
        "read_through_a_hard_link", "read_through_dot_dots", "read_through_an_open_folder",
        "list_the_data_folder", "write_code_of_the_host", "write_the_profile",
        "write_beside_the_work_folder", "write_own_code", "write_into_the_interpreter",
        "truncate_the_database", "move_a_foreign_file_away", "delete_a_foreign_file",
        "write_the_record_of_another_run", "replace_own_log_by_a_link",
        "variables_of_a_neighbour", "command_line_of_a_neighbour", "list_all_processes",
    ),
    *_all("files", "memory_of_a_neighbour", excuse="yama"),
    *_all("files", "variables_of_another_run", "spare_itself_when_memory_runs_out",
          "make_a_device", excuse="root"),
    *_all("system calls", "open_the_vault_to_other_users", "give_a_file_an_owner"),
    *_all("system calls", "trace_a_neighbour", "read_memory_by_system_call",
          "take_a_descriptor", excuse="yama"),
    *_all("system calls", "signal_through_a_pidfd", "slow_a_neighbour_down",
          "limit_a_neighbour", "bind_a_neighbour_to_a_core"),
    *_all("signals", "signal_a_neighbour", "signal_another_run", "signal_the_agent",
          "signal_the_server"),
    *_all("network", "connect_to_another_port", "listen", "connect_by_sendto",
          "connect_by_sendmsg", "connect_by_sendmmsg", "connect_at_the_first_send"),
    *_all("network", "connect_by_another_kind_of_stream", "listen_by_another_kind_of_stream",
          excuse="kernel"),
    *_all("system calls", "make_another_kind_of_a_stream"),
    *_all("system calls", "listen_without_bind", is_open=True),
    *_all("system calls", "send_a_datagram", "netlink_socket"),
    *_all("system calls", "raw_socket", "packet_socket", excuse="root"),
    *_all("system calls", "crypto_socket", excuse="kernel"),
    *_all("signals", "abstract_socket_of_another"),
    *_all("system calls", "door_of_the_agent", excuse="door"),
    *_all("system calls", "door_of_the_zygote"),
    *_all("system calls", "datagram_to_a_path_socket_from_a_pair"),
    *_all("system calls", "path_socket_of_another", is_open=True),
    *_all("system calls", "user_namespace", "user_namespace_of_its_own", excuse="namespaces"),
    *_all("system calls", "mount_something", "change_the_root", excuse="root"),
    *_all("system calls", "io_uring", "keyring", "user_faults", "bpf_map",
          "performance_counter", excuse="kernel"),
    *_all("system calls", "shared_memory_of_system_v", "message_queue"),
    *_all("processes", "start_a_process", "run_a_program", "leave_the_session", is_open=True),
    *_all("system calls", "take_the_mark_off"),
    *_all("system calls", "raise_own_limits", excuse="resources"),
    *_all("open files", "open_many_files", excuse="files"),
    *_all("memory", "bomb_of_memory"),
    *_all("threads", "bomb_of_threads"),
    *_all("processes", "bomb_of_forks", is_open=True),
    *_all("private memory", "privileges_of_a_program", "dump_core",
          "keep_a_descriptor_of_the_host", excuse="always"),
)  # fmt: skip
"""Those of bounds come last: they may leave the process short of something."""
