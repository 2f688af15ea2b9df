# pose-hrnet serve on NVIDIA GPUs. In the root of a clone, on a machine with NVIDIA's container toolkit:
#   docker build -f tools/docker/cuda.Dockerfile -t pose-hrnet:cuda .
#   docker run --gpus all -p 127.0.0.1:8000:8000 -e POSE_HRNET_TOKEN -v pose-hrnet:/var/cache/pose-hrnet pose-hrnet:cuda
# PyTorch brings its CUDA libraries; the base gives what the driver is asked for, and needs no compiler.
ARG BASE=nvidia/cuda:12.8.1-base-ubuntu24.04
FROM ${BASE} AS python
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY configs configs
COPY pose_hrnet pose_hrnet
RUN python3 -m venv /opt/pose-hrnet \
    && /opt/pose-hrnet/bin/pip install --no-cache-dir '.[serve]' \
    && /opt/pose-hrnet/bin/pip install --no-cache-dir --force-reinstall --no-deps opencv-python-headless \
    && /opt/pose-hrnet/bin/pose-hrnet --version

FROM python
RUN useradd --system --uid 10001 --create-home pose \
    && install --directory --owner=pose /var/cache/pose-hrnet
COPY --from=build /opt/pose-hrnet /opt/pose-hrnet
ENV PATH=/opt/pose-hrnet/bin:$PATH POSE_HRNET_CACHE=/var/cache/pose-hrnet
USER 10001
VOLUME /var/cache/pose-hrnet
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
ENTRYPOINT ["pose-hrnet", "serve", "--host", "0.0.0.0"]
