# The same declarations for docker buildx bake.
#
# Bake cannot say three things, so a program around it has to do them:
# - the date and the commit, which git knows
# - the versions: build, run the commands of jupyter.toml in the images, set these variables, and call bake again
# - tags of one platform, such as x86_64-latest

variable "REVISION" {}
variable "DATE" {}
variable "UBUNTU" {}
variable "PYTHON" {}
variable "PYTHON_MINOR" {}
variable "MAMBA" {}
variable "CONDA" {}
variable "NOTEBOOK" {}
variable "LAB" {}
variable "HUB" {}
variable "R" {}
variable "JULIA" {}
variable "SPARK" {}
variable "JAVA" {}
variable "PYTORCH" {}
variable "TENSORFLOW" {}

function "foundation" {
  params = [repo, prefix]
  result = formatlist("quay.io/jupyter/${repo}:${prefix}%s", [
    "latest", REVISION, DATE, "ubuntu-${UBUNTU}", "python-${PYTHON}", "python-${PYTHON_MINOR}", "mamba-${MAMBA}",
    "conda-${CONDA}",
  ])
}
function "notebook" {
  params = [repo, prefix, more]
  result = concat(foundation(repo, prefix), formatlist("quay.io/jupyter/${repo}:${prefix}%s", concat(
    ["notebook-${NOTEBOOK}", "lab-${LAB}", "hub-${HUB}"], more,
  )))
}

group "default" {
  targets = ["docker-stacks-foundation", "notebook", "cuda"]
}
target "_all" {
  platforms = ["linux/amd64", "linux/arm64"]
}
target "docker-stacks-foundation" {
  inherits = ["_all"]
  context  = "images/docker-stacks-foundation"
  tags     = foundation("docker-stacks-foundation", "")
}
target "notebook" {
  inherits = ["_all"]
  name     = of.name
  matrix = {
    of = [
      { name = "base-notebook", parent = "docker-stacks-foundation", more = [] },
      { name = "minimal-notebook", parent = "base-notebook", more = [] },
      { name = "scipy-notebook", parent = "minimal-notebook", more = [] },
      { name = "r-notebook", parent = "minimal-notebook", more = ["r-${R}"] },
      { name = "julia-notebook", parent = "minimal-notebook", more = ["julia-${JULIA}"] },
      { name = "tensorflow-notebook", parent = "scipy-notebook", more = ["tensorflow-${TENSORFLOW}"] },
      { name = "pytorch-notebook", parent = "scipy-notebook", more = ["pytorch-${PYTORCH}"] },
      { name = "datascience-notebook", parent = "scipy-notebook", more = ["r-${R}", "julia-${JULIA}"] },
      { name = "pyspark-notebook", parent = "scipy-notebook", more = ["spark-${SPARK}", "java-${JAVA}"] },
      { name = "all-spark-notebook", parent = "pyspark-notebook", more = ["spark-${SPARK}", "java-${JAVA}", "r-${R}"] },
    ]
  }
  context  = "images/${of.name}"
  contexts = { "quay.io/jupyter/${of.parent}" = "target:${of.parent}" }
  tags     = notebook(of.name, "", of.more)
}
target "cuda" {
  inherits = ["_all"]
  name     = "${of.ai}-notebook-${of.cuda}"
  matrix = {
    of = [
      { ai = "pytorch", cuda = "cuda12", more = ["pytorch-${PYTORCH}"] },
      { ai = "pytorch", cuda = "cuda13", more = ["pytorch-${PYTORCH}"] },
      { ai = "tensorflow", cuda = "cuda", more = ["tensorflow-${TENSORFLOW}"] },
    ]
  }
  context  = "images/${of.ai}-notebook/${of.cuda}"
  contexts = { "quay.io/jupyter/scipy-notebook" = "target:scipy-notebook" }
  tags     = notebook("${of.ai}-notebook", "${of.cuda}-", of.more)
}
