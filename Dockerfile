# One image for all three services: code server, web server, daemon. See docker-compose.yaml.
FROM python:3.12-slim

# The same versions as everywhere, by the lock as constraints, and none of the tools.
WORKDIR /opt/flatfiles_assets
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY flatfiles_assets ./flatfiles_assets
COPY deployment/workspace.yaml ./workspace.yaml
RUN pip install --no-cache-dir -c requirements.lock hatchling \
 && pip install --no-cache-dir -c requirements.lock --no-build-isolation '.[plot]'

# Nothing runs as root, and everything that lasts is below /data.
RUN useradd --create-home --uid 1000 flatfiles && install -d -o flatfiles /data
USER flatfiles
WORKDIR /home/flatfiles
ENV FLATFILES_DATA_DIR=/data DAGSTER_HOME=/data/dagster_home
VOLUME /data

# Writes dagster.yaml and the pools' limits before anybody looks for them.
ENTRYPOINT ["python", "-m", "flatfiles_assets.defs.instance"]
CMD ["flatfiles", "status"]
