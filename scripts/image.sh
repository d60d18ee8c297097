#!/bin/sh
# The steps that the Dockerfiles share; each is one RUN of theirs, with /build as its folder.
#
#   image.sh tools                     /build/tools: what installs packages and builds the project's distributions
#   image.sh dependencies LOCK         /opt/python: exactly what a lock names, without what nothing uses
#   image.sh more LOCK                 /opt/more: what a lock names beside what /opt/python has, to be laid over it
#   image.sh program PLACE FOLDER...   PLACE: the project's distributions in these folders, to be laid over /app
#   image.sh kernels                   /app/kernels: the compiled kernels of all parts (thundercast.adapters.warming)
#   image.sh user                      the last stage: a user without rights, no program that gives any, and no installer
set -eu
cd /build
# Where the Dockerfiles keep what was fetched, for the next build.
export XDG_CACHE_HOME=/build/cache

# Packages come from where pip is told to look.
install() {
  setting() { pip config get "global.$1" 2>/dev/null | tr '\n' ' ' | sed 's/ *$//'; }
  for pair in index-url=UV_DEFAULT_INDEX extra-index-url=UV_INDEX find-links=UV_FIND_LINKS trusted-host=UV_INSECURE_HOST cert=SSL_CERT_FILE; do
    value=$(setting "${pair%=*}")
    [ -z "$value" ] || export "${pair#*=}=$value"
  done
  # With hashes it does not matter who gives a file.
  UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_INDEX_STRATEGY=unsafe-best-match UV_HTTP_TIMEOUT=180 \
    /build/tools/bin/uv pip install --no-config --python /opt/python/bin/python --only-binary :all: --require-hashes -r "$1"
  rm -f /opt/python/.lock
}

packages() {
  /opt/python/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
}

# One time for all files: numba looks at that of its sources, and equal files make equal layers.
same_time() {
  find "$1" -exec touch --no-dereference --date=2020-02-02T00:00:00Z {} +
}

step=$1
shift
case $step in
  tools)
    python3 -m venv --without-pip tools
    pip --python tools/bin/python install --no-compile --only-binary :all: --require-hashes -r build.txt
    ;;
  dependencies)
    python3 -m venv --without-pip /opt/python
    install "$1"
    tools/bin/python slim.py "$(packages)"
    same_time /opt/python
    ;;
  more)
    export LC_ALL=C
    files() { (cd /opt/python && find . ! -type d) | sort; }
    files >before
    install "$1"
    files >after
    if [ -n "$(comm -23 before after)" ]; then
      echo "image.sh: $1 has other versions than the lock of /opt/python; these files are gone:" >&2
      comm -23 before after | head -20 >&2
      exit 1
    fi
    comm -13 before after >new
    mkdir /opt/more
    tar --create --remove-files --directory /opt/python --files-from new | tar --extract --directory /opt/more
    site=$(packages)
    tools/bin/python slim.py "/opt/more${site#/opt/python}" --at "$site"
    same_time /opt/more
    ;;
  program)
    place=$1
    shift
    for folder in "$@"; do
      (cd "$folder" && /build/tools/bin/python -m hatchling build --target wheel --directory /build/wheels)
    done
    tools/bin/uv pip install --no-config --no-cache --python /opt/python/bin/python --no-deps --no-index --target "$place" wheels/*.whl
    rm -f "$place/.lock"
    /opt/python/bin/python -m compileall -q --invalidation-mode unchecked-hash -s "$place" -p /app "$place"
    same_time "$place"
    ;;
  kernels)
    NUMBA_CACHE_DIR=/app/kernels PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 /opt/python/bin/python -m thundercast.adapters.warming publish clean train
    same_time /app/kernels
    ;;
  user)
    echo 'thundercast:x:65532:65532:Thundercast:/var/lib/thundercast:/usr/sbin/nologin' >>/etc/passwd
    echo 'thundercast:x:65532:' >>/etc/group
    mkdir -p /var/lib/thundercast
    chown 65532:65532 /var/lib/thundercast
    # Some bases have their standard library compiled, and some do not.
    if [ ! -e "$(python3 -B -c 'import json; print(json.__cached__)')" ]; then
      python3 -m compileall -q --invalidation-mode unchecked-hash -x '/(site-packages|dist-packages|tests?)/' "$(dirname "$(python3 -c 'import os; print(os.__file__)')")"
    fi
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +
    rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip /usr/bin/pip* \
      /usr/lib/python3/dist-packages/pip* /usr/share/python-wheels ~/.cache
    ;;
  *)
    echo "image.sh: unknown step $step" >&2
    exit 2
    ;;
esac
