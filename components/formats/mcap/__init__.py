"""MCAP with ROS 2, protobuf and JSON messages."""
