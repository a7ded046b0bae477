package api

// Plan is what a configuration would change in the running fabric.
type Plan struct {
	Networks []NetworkPlan `json:"networks"` // those that would change, by name
}

// NetworkPlan is what a configuration would change in one network. The owners in removed, and those before in moved, would
// lose their addresses at once.
type NetworkPlan struct {
	Network  string           `json:"network"`
	Kind     PlanKind         `json:"kind"`
	Settings []Setting        `json:"settings"` // of an existing network
	Added    []NetworkBinding `json:"added"`
	Removed  []NetworkBinding `json:"removed"`
	Moved    []MovedBinding   `json:"moved"` // the addresses that get another MAC or port
	Ports    []string         `json:"ports"` // that these bindings name
}

// PlanKind says what happens to a network.
type PlanKind string

// The kinds of plans.
const (
	AddNetwork    PlanKind = "add"
	RemoveNetwork PlanKind = "remove"
	ChangeNetwork PlanKind = "change"
)

// Setting is a setting of a network that would change: mode, attach or guard.
type Setting struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// MovedBinding is a binding whose MAC or port would change.
type MovedBinding struct {
	Before NetworkBinding `json:"before"`
	After  NetworkBinding `json:"after"`
}
