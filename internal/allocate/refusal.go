package allocate

import "fmt"

// A Refusal is the error of a request that is not fulfilled.
type Refusal struct {
	Cause
	Text string // the cause and the remedy
}

// Cause is the kind of a refusal.
type Cause uint8

// The causes of refusals.
const (
	Invalid   Cause = iota // the request is wrong, whatever is allocated
	Taken                  // the address or the name is taken, reserved or held
	Missing                // there is no such allocation
	Exhausted              // no address or no MAC is left
	Changed                // the allocation is not the one that the caller expects
)

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

func refuse(cause Cause, format string, args ...any) *Refusal {
	return &Refusal{cause, fmt.Sprintf(format, args...)}
}
