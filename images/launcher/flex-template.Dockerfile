# The launcher's image as that of a Flex Template: Dataflow starts Google's program in it, which runs ours.
ARG LAUNCHER
ARG GOOGLE=gcr.io/dataflow-templates-base/python313-template-launcher-base

FROM ${GOOGLE} AS google

FROM ${LAUNCHER}
COPY --from=google /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/app/thundercast_launcher/template.py
ENTRYPOINT ["/opt/google/dataflow/python_template_launcher"]
