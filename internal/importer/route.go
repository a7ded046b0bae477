package importer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A route is a prefix that a host of the network forwards.
type route struct {
	at      registry.Origin
	prefix  netip.Prefix
	gateway netip.Addr
}

// addRoute records a route over a host of the current network.
func (s *source) addRoute(line int, prefix netip.Prefix, gateway netip.Addr) {
	s.current.routes = append(s.current.routes, route{s.at(line), prefix, gateway})
}

// addRoutes completes the bindings of routers with their routes.
func (i *Import) addRoutes() {
	for _, r := range i.routes {
		if why := i.addRoute(r); why != "" {
			i.LeftOut = append(i.LeftOut, LeftOut{Origin: r.at, What: fmt.Sprintf("route to %s by %s", r.prefix, r.gateway), Why: why})
		}
	}
}

// addRoute adds one route to the binding of its gateway. It returns why it can't.
func (i *Import) addRoute(r route) string {
	at := slices.IndexFunc(i.Bindings, func(b registry.Binding) bool { return b.First == r.gateway })
	if at < 0 {
		return "the gateway has no binding"
	}
	router := i.Bindings[at]
	routes := slices.Collect(router.Routes.All())
	if slices.Contains(routes, r.prefix) {
		return ""
	}
	router.Routes = registry.PrefixesOf(append(routes, r.prefix)...)
	_, err := registry.New(slices.Values([]registry.Binding{router}))
	if wrong, ok := errors.AsType[registry.BindingErrors](err); ok {
		return wrong[0].Problem
	}
	i.Bindings[at] = router
	return ""
}
