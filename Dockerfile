# The image holds one static binary, and runs it as an ordinary user. The CNI plugin is there to be copied out. It needs the host's network namespace (or a
# container's, or a pod's), CAP_NET_ADMIN and CAP_NET_RAW. With CAP_BPF and CAP_PERFMON, the kernel answers:
#
#   docker run --network host --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW --cap-add BPF --cap-add PERFMON \
#     -v /etc/arpfabric:/etc/arpfabric:ro arpfabric
FROM golang:1.26 AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libcap2-bin >/dev/null
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The repository's history is not in here, so whoever builds the image says what it is built from:
#   docker build --build-arg VERSION="$(git describe --tags --always --dirty)" --build-arg REVISION="$(git rev-parse HEAD)" .
ARG VERSION REVISION
RUN package=github.com/arpfabric/arpfabric/internal/build; \
    build() { CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X $package.version=$VERSION -X $package.revision=$REVISION" -o "$@"; }; \
    build /image/usr/bin/arpfabric ./cmd/arpfabric && build /image/usr/lib/cni/arpfabric ./cmd/arpfabric-cni
# An ordinary user in a container has the capabilities that its file grants. Permitted, but not effective: arpfabric
# raises them itself, so that it starts without them too and can say what it lacks.
RUN setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon+p /image/usr/bin/arpfabric
# For the API's socket, also of a root (--user 0) that has no capability but those four.
RUN install -d -m 0775 /image/run/arpfabric
# For allocated addresses: mount a volume here to keep them.
RUN install -d -m 0770 /image/var/lib/arpfabric

FROM scratch
LABEL org.opencontainers.image.title="arpfabric" \
      org.opencontainers.image.description="Gives a Linux bridge, a TAP or an interface the ARP behaviour of a cloud VPC" \
      org.opencontainers.image.source="https://github.com/arpfabric/arpfabric" \
      org.opencontainers.image.licenses="MIT"
# The folder, as docker's classic builder drops the capabilities of a file that is copied by itself, or with --chown.
COPY --from=build /image/usr/ /usr/
COPY --from=build --chown=65532:0 /image/run/ /run/
COPY --from=build --chown=65532:0 /image/var/ /var/
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/bin/arpfabric", "status"]
ENTRYPOINT ["/usr/bin/arpfabric"]
CMD ["run", "--config", "/etc/arpfabric/arpfabric.yaml"]
