# histofactor in a container, for one machine or as the image of all machines of a cluster.
#
#   docker build -t histofactor .                                                   with CUDA
#   docker build -t histofactor:cpu --build-arg DEVICE=cpu --build-arg TORCH_INDEX=URL .
#                                    URL: the index of PyTorch's builds for CPUs alone, or a mirror of it
#   --build-arg VERSION=0.1.0        what the image calls itself, and its results
#
#   docker run --rm --gpus all --network none \
#     -v SLIDES:/slides:ro -v WEIGHTS:/weights:ro -v OUT:/out histofactor segment /slides -o /out
#
# All packages are those of constraints.txt. Nothing is fetched when it runs: weights come from the volume.

ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ARG DEVICE=cuda
ARG TORCH_INDEX=
ARG EXTRAS=cloud,parquet,ray,transformers
# What is sent to be built from has no tags to tell the version from; without VERSION it is the fallback of pyproject.toml.
ARG VERSION=
ENV SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/histofactor/bin:$PATH
RUN python -m venv /opt/histofactor
WORKDIR /build
COPY constraints.txt pyproject.toml hatch_build.py README.md LICENSE ./
# PyTorch comes first and alone: its builds for CUDA bring gigabytes that one for CPUs has no use of.
RUN case "$DEVICE" in \
      cuda) pip install -c constraints.txt torch torchvision ;; \
      cpu) test -n "$TORCH_INDEX" || { echo "DEVICE=cpu needs TORCH_INDEX, an index of builds for CPUs" >&2; exit 1; }; \
           pip install -c constraints.txt --no-deps --index-url "$TORCH_INDEX" torch torchvision ;; \
      *) echo "DEVICE is cuda or cpu, not $DEVICE" >&2; exit 1 ;; \
    esac
COPY src src
# Jobs of Ray are submitted to a part of it that its own default leaves out.
RUN pip install -c constraints.txt ".[$EXTRAS]" "ray[default]"

FROM python:${PYTHON}
# KubeRay asks a container by wget whether it is well.
RUN apt-get update \
    && apt-get install -y --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home histofactor \
    && install -d -o histofactor -g histofactor /weights /out /cache
COPY --from=build /opt/histofactor /opt/histofactor
ENV PATH=/opt/histofactor/bin:$PATH \
    HF_HOME=/weights \
    HF_HUB_OFFLINE=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    NUMBA_CACHE_DIR=/tmp/numba \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
WORKDIR /out
VOLUME ["/weights", "/out"]
ENTRYPOINT ["histofactor"]
CMD ["--help"]
