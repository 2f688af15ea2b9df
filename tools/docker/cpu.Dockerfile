# pose-hrnet serve on processors, by OpenVINO. In the root of a clone:
#   docker build -f tools/docker/cpu.Dockerfile -t pose-hrnet .
#   docker run -p 127.0.0.1:8000:8000 -e POSE_HRNET_TOKEN -v pose-hrnet:/var/cache/pose-hrnet pose-hrnet
ARG BASE=python:3.12-slim-bookworm
FROM ${BASE} AS build
# Where the build of PyTorch without CUDA is had; it takes 0.8 GB instead of 6.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY configs configs
COPY pose_hrnet pose_hrnet
RUN python3 -m venv /opt/pose-hrnet \
    && /opt/pose-hrnet/bin/pip install --no-cache-dir torch torchvision --index-url "${TORCH_INDEX}" \
    && /opt/pose-hrnet/bin/pip install --no-cache-dir '.[serve,openvino]' \
    && /opt/pose-hrnet/bin/pip install --no-cache-dir --force-reinstall --no-deps opencv-python-headless \
    && /opt/pose-hrnet/bin/pose-hrnet --version

FROM ${BASE}
RUN useradd --system --uid 10001 --create-home pose \
    && install --directory --owner=pose /var/cache/pose-hrnet
COPY --from=build /opt/pose-hrnet /opt/pose-hrnet
ENV PATH=/opt/pose-hrnet/bin:$PATH POSE_HRNET_CACHE=/var/cache/pose-hrnet
USER 10001
VOLUME /var/cache/pose-hrnet
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
ENTRYPOINT ["pose-hrnet", "serve", "--host", "0.0.0.0"]
