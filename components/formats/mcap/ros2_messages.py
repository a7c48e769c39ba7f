"""The ROS 2 message definitions that gripline writes, as `ros2 bag` stores them: each with those it refers to."""

from __future__ import annotations

_SEPARATOR = "=" * 80

_TIME = """\
# This message communicates ROS Time defined here:
# https://design.ros2.org/articles/clock_and_time.html

# The seconds component, valid over all int32 values.
int32 sec

# The nanoseconds component, valid in the range [0, 1e9), to be added to the seconds component.
uint32 nanosec
"""

_HEADER = """\
# Standard metadata for higher-level stamped data types.
# This is generally used to communicate timestamped data
# in a particular coordinate frame.

# Two-integer timestamp that is expressed as seconds and nanoseconds.
builtin_interfaces/Time stamp

# Transform frame with which this data is associated.
string frame_id
"""

_COMPRESSED_IMAGE = """\
# This message contains a compressed image.

std_msgs/Header header # Header timestamp should be acquisition time of image
                       # Header frame_id should be optical frame of camera

string format          # Specifies the format of the data
                       # Acceptable values: jpeg, png, tiff

uint8[] data           # Compressed image buffer
"""

_JOINT_STATE = """\
# This is a message that holds data to describe the state of a set of torque controlled joints.
#
# Each joint is uniquely identified by its name. The header specifies the time at which the joint states were
# recorded. All the joint states in one message have to be recorded at the same time.
#
# All arrays in this message should have the same size, or be empty.

std_msgs/Header header

string[] name
float64[] position
float64[] velocity
float64[] effort
"""

_POSE_STAMPED = """\
# A Pose with reference coordinate frame and timestamp

std_msgs/Header header
geometry_msgs/Pose pose
"""

_POSE = """\
# A representation of pose in free space, composed of position and orientation.

geometry_msgs/Point position
geometry_msgs/Quaternion orientation
"""

_POINT = """\
# This contains the position of a point in free space
float64 x
float64 y
float64 z
"""

_QUATERNION = """\
# This represents an orientation in free space in quaternion form.

float64 x 0
float64 y 0
float64 z 0
float64 w 1
"""

_STRING = """\
string data
"""

_STAMPED = (("std_msgs/Header", _HEADER), ("builtin_interfaces/Time", _TIME))


def _joined(text: str, *used: tuple[str, str]) -> str:
    return text + "".join(f"{_SEPARATOR}\nMSG: {name}\n{definition}" for name, definition in used)


DEFINITIONS: dict[str, str] = {
    "sensor_msgs/msg/CompressedImage": _joined(_COMPRESSED_IMAGE, *_STAMPED),
    "sensor_msgs/msg/JointState": _joined(_JOINT_STATE, *_STAMPED),
    "geometry_msgs/msg/PoseStamped": _joined(
        _POSE_STAMPED,
        *_STAMPED,
        ("geometry_msgs/Pose", _POSE),
        ("geometry_msgs/Point", _POINT),
        ("geometry_msgs/Quaternion", _QUATERNION),
    ),
    "std_msgs/msg/String": _STRING,
}
