package cni

import (
	"errors"
	"net/http"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/containernetworking/cni/pkg/types"
)

// The plugin's own codes of errors; the specification has those below 100.
const (
	errRefused  = 100 // the fabric refuses a change, because the address is another's or the caller may not make it
	errMismatch = 101 // the fabric has another binding than the container needs
)

// failure returns the error of a call of the API. The runtime may try again unless the fabric has refused the call.
func failure(action string, err error) *types.Error {
	code := types.ErrTryAgainLater
	if p, ok := errors.AsType[*api.Problem](err); ok {
		switch p.Status {
		case http.StatusBadRequest, http.StatusNotFound:
			code = types.ErrInvalidNetworkConfig
		case http.StatusForbidden, http.StatusConflict:
			code = errRefused
		}
	}
	return types.NewError(code, action, err.Error())
}

// isMissing reports whether the API has no such binding or network.
func isMissing(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Status == http.StatusNotFound
}
