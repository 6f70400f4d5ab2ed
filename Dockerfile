FROM python:3.11-slim

# The wheels of soundfile and soxr bring their own libraries: no system packages are needed.
WORKDIR /opt/codec
COPY pyproject.toml README.md LICENSE ./
COPY codec ./codec
RUN pip install --no-cache-dir . && useradd --create-home codec

USER codec
WORKDIR /data
ENTRYPOINT ["codec"]
