FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim-bookworm
COPY --from=build /wheels /wheels
COPY constraints.txt /wheels/
RUN pip install --no-cache-dir --constraint /wheels/constraints.txt "segmenter[parquet] @ file://$(echo /wheels/*.whl)" \
    && rm -r /wheels \
    && useradd --create-home --uid 10001 segmenter
USER segmenter
WORKDIR /home/segmenter
ENTRYPOINT ["segmenter"]
CMD ["--help"]
