package registry

// Leaves returns the number of owners that the registry keeps for its ranges.
func (r *Registry) Leaves() int { return len(r.ranges.owners) }

// Names returns how many names of ports and sources the registry keeps.
func (r *Registry) Names() int { return len(r.ports) + len(r.sources) }
