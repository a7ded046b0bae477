# The image holds one static binary. It needs the host's network namespace (or a pod's), CAP_NET_ADMIN and
# CAP_NET_RAW:
#
#   docker run --network host --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW \
#     -v /etc/arpfabric:/etc/arpfabric:ro arpfabric
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /arpfabric ./cmd/arpfabric

FROM scratch
LABEL org.opencontainers.image.title="arpfabric" \
      org.opencontainers.image.description="Gives a Linux bridge, a TAP or an interface the ARP behaviour of a cloud VPC" \
      org.opencontainers.image.source="https://github.com/arpfabric/arpfabric" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /arpfabric /arpfabric
ENTRYPOINT ["/arpfabric"]
CMD ["run", "--config", "/etc/arpfabric/arpfabric.yaml"]
