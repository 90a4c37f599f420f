#!/bin/bash
# Builds containers/Dockerfile.cuda where no image registry is reached, and looks inside: Debian's
# own Python, by debootstrap, stands in for the base image. Needs root, buildah, debootstrap, a
# package index, 20 GB and ten minutes; leaves nothing but what it prints.
#   tests/containers/build.sh [WORK_FOLDER]
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
work=${1:-$(mktemp -d)}
base=$(sed -n 's/^FROM //p' containers/Dockerfile.cuda)
buildah() { command buildah --root "$work/storage" --runroot "$work/run" "$@"; }
trap 'rm -rf -- "$work"' EXIT

debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
  bookworm "$work/base"
ln -sf python3 "$work/base/usr/bin/python"
mkdir "$work/source"
git archive HEAD | tar x -C "$work/source"

export BUILDAH_ISOLATION=chroot
scratch=$(buildah from scratch)
buildah add --quiet "$scratch" "$work/base" /
buildah commit --quiet "$scratch" "docker.io/library/$base"
buildah bud --pull-never --network host --volume /etc/ssl/certs:/etc/ssl/certs:ro \
  --file "$work/source/containers/Dockerfile.cuda" --tag neox:cuda "$work/source"

image=$(buildah from --pull-never localhost/neox:cuda)
inside() { buildah run "$image" -- "$@"; }
[[ $(inside id -u) == 10001 ]]
inside neox-submit --version
inside python -c 'import torch, deepspeed, neox; print(torch.__version__, deepspeed.__version__)'
inside neox-submit --site local --dry-run configs/demo.yml >/dev/null
if inside test -w /opt/neox; then exit 1; fi
if inside test -e /opt/src; then exit 1; fi
buildah images
