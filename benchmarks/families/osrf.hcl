# The same declarations for docker buildx bake.

variable "ROS" {
  default = [
    { release = "humble", on = "jammy" }, { release = "jazzy", on = "noble" }, { release = "kilted", on = "noble" },
    { release = "lyrical", on = "resolute" }, { release = "rolling", on = "resolute" },
  ]
}
variable "LATEST" {
  default = "lyrical"
}
group "default" {
  targets = ["ros-core", "ros-base", "perception", "simulation", "desktop-full"]
}
target "_all" {
  platforms = ["linux/amd64", "linux/arm64"]
}

target "ros-core" {
  inherits = ["_all"]
  name     = "${ros.release}-ros-core"
  matrix   = { ros = ROS }
  context  = "ros/${ros.release}/ubuntu/${ros.on}/ros-core"
  tags     = ["ros:${ros.release}-ros-core", "ros:${ros.release}-ros-core-${ros.on}"]
}
target "ros-base" {
  inherits = ["_all"]
  name     = "${ros.release}-ros-base"
  matrix   = { ros = ROS }
  context  = "ros/${ros.release}/ubuntu/${ros.on}/ros-base"
  contexts = { "ros:${ros.release}-ros-core-${ros.on}" = "target:${ros.release}-ros-core" }
  tags = concat(
    ["ros:${ros.release}-ros-base", "ros:${ros.release}-ros-base-${ros.on}", "ros:${ros.release}"],
    ros.release == LATEST ? ["ros:latest"] : [],
  )
}
target "perception" {
  inherits = ["_all"]
  name     = "${ros.release}-perception"
  matrix   = { ros = ROS }
  context  = "ros/${ros.release}/ubuntu/${ros.on}/perception"
  contexts = { "ros:${ros.release}-ros-base-${ros.on}" = "target:${ros.release}-ros-base" }
  tags     = ["ros:${ros.release}-perception", "ros:${ros.release}-perception-${ros.on}"]
}
target "simulation" {
  inherits = ["_all"]
  name     = "${ros.release}-${image}"
  matrix   = { ros = ROS, image = ["simulation", "desktop"] }
  context  = "ros/${ros.release}/ubuntu/${ros.on}/${image}"
  contexts = { "ros:${ros.release}-ros-base-${ros.on}" = "target:${ros.release}-ros-base" }
  tags     = ["osrf/ros:${ros.release}-${image}", "osrf/ros:${ros.release}-${image}-${ros.on}"]
}
target "desktop-full" {
  inherits = ["_all"]
  name     = "${ros.release}-desktop-full"
  matrix   = { ros = ROS }
  context  = "ros/${ros.release}/ubuntu/${ros.on}/desktop-full"
  contexts = { "osrf/ros:${ros.release}-desktop-${ros.on}" = "target:${ros.release}-desktop" }
  tags     = ["osrf/ros:${ros.release}-desktop-full", "osrf/ros:${ros.release}-desktop-full-${ros.on}"]
}
