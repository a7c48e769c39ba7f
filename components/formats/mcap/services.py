"""Events of ROS 2 services: a recorder stores the text of the .srv file, with its dashes, as their schema."""

from __future__ import annotations

import re

SEPARATOR = "---"
_EVENT = "_Event"
_DIVIDER = re.compile(r"^={3,}\s*$", flags=re.MULTILINE)
_DASHES = re.compile(rf"^{SEPARATOR}\s*$", flags=re.MULTILINE)
# Some recorders name the service in front of its text, as messages are named.
_NAME = re.compile(r"^(?:SRV|MSG):.*$", flags=re.MULTILINE)
_RULE = "=" * 80
# rcl_interfaces: service_msgs/msg/ServiceEventInfo. The gid is char[16] or uint8[16], 16 bytes in either.
_INFO = """uint8 event_type
builtin_interfaces/Time stamp
uint8[16] client_gid
int64 sequence_number"""
_TIME = "int32 sec\nuint32 nanosec"


def service_definition(name: str, text: str) -> tuple[str, str]:
    """Name and definition of an event message in the form that messages have, from the text of its .srv file.

    Layout of rosidl: `info`, then `request` and `response` as lists of at most one. The parser takes no underscores in
    names. What is no event comes back as it is.
    """
    sections = [section.strip() for section in _DIVIDER.split(text)]
    own = next((section for section in sections if _DASHES.search(section)), None)
    if own is None or not name.endswith(_EVENT):
        return name, text
    request, response = _DASHES.split(_NAME.sub("", own), maxsplit=1)
    package, kind = name.split("/")[0], name.split("/")[-1][: -len(_EVENT)].replace("_", "")
    parts = {
        f"{package}/{kind}Request": request,
        f"{package}/{kind}Response": response,
        "service_msgs/ServiceEventInfo": _INFO,
        "builtin_interfaces/Time": _TIME,
    }
    fields = (
        f"service_msgs/ServiceEventInfo info\n{package}/{kind}Request[<=1] request\n"
        f"{package}/{kind}Response[<=1] response"
    )
    defined = "".join(f"\n{_RULE}\nMSG: {key}\n{value.strip()}" for key, value in parts.items())
    rest = "".join(f"\n{_RULE}\n{section}" for section in sections if section and section is not own)
    return f"{package}/{kind}Event", fields + defined + rest
