"""Which topic, and which HDF5 dataset, becomes which stream of an episode. The only place that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.core.episode import StreamKind

COMPRESSED_IMAGE = "sensor_msgs/CompressedImage"
JOINT_STATE = "sensor_msgs/JointState"
POSE_STAMPED = "geometry_msgs/PoseStamped"
STRING = "std_msgs/String"


@dataclass(frozen=True)
class Target:
    """A stream as the rest of the house knows it.

    `dim`: numbers a sample, 0 where it depends on the robot or the stream is a camera; `names`: what the numbers are,
    in this order, where a file may name them.
    """

    stream: str
    kind: StreamKind
    dim: int = 0
    names: tuple[str, ...] = ()


FIXED = Target("fixed", "image")
WRIST = Target("wrist", "image")
HAND = Target("hand", "state", 3)
GRIPPER = Target("gripper", "state", 1)
JOINTS = Target("joints", "state")
ACTION = Target("action", "action", names=("dx", "dy", "dz", "effort"))
ACTION_EXECUTED = Target("action_executed", "action", names=("dx", "dy", "dz", "effort"))

# topic -> (message type without "msg/", stream)
TOPICS: Mapping[str, tuple[str, Target]] = {
    "/camera/fixed/compressed": (COMPRESSED_IMAGE, FIXED),
    "/camera/wrist/compressed": (COMPRESSED_IMAGE, WRIST),
    "/hand_pose": (POSE_STAMPED, HAND),
    "/gripper": (JOINT_STATE, GRIPPER),
    "/joint_states": (JOINT_STATE, JOINTS),
    "/action": (JOINT_STATE, ACTION),
    "/action_executed": (JOINT_STATE, ACTION_EXECUTED),
}
INSTRUCTION_TOPIC = "/instruction"

# dataset below data/demo_N -> stream
HDF5_DATASETS: Mapping[str, Target] = {
    "obs/agentview_image": FIXED,
    "obs/robot0_eye_in_hand_image": WRIST,
    "obs/robot0_eef_pos": HAND,
    "obs/robot0_gripper_qpos": GRIPPER,
    "obs/robot0_joint_pos": JOINTS,
    "actions": ACTION,
    "actions_executed": ACTION_EXECUTED,
}
HDF5_TIME = "time"

# What an episode must have to be ingested; `inspect` says when it lacks one.
REQUIRED = ("fixed", "wrist", "hand", "gripper", "joints", "action")

# MCAP metadata record and HDF5 demo attributes: the same keys.
EPISODE_METADATA = "episode"
PROVENANCE_KEYS = (
    "robot_id",
    "collector_id",
    "site",
    "recorded_at",
    "licence",
    "consent_ref",
    "calibration_digest",
    "outcome",
)
