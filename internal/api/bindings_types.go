package api

import (
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/config"
)

// NetworkBinding is a binding of one network, with what its source knows about it.
type NetworkBinding struct {
	Binding
	Source Source `json:"source"`

	Revision uint64     `json:"revision,omitzero"` // of the allocation, which is also its ETag; absent for bindings of the configuration
	Expires  *time.Time `json:"expires,omitzero"`  // when the allocation is freed, or the lease ends; absent if it does not

	// NotInForce says why guests get no answer for the binding, such as that the configuration binds the same address; absent
	// if it is in force.
	NotInForce string `json:"not_in_force,omitzero"`
}

// Source is where a binding comes from.
type Source string

// The sources of bindings.
const (
	FromConfig Source = "config" // the configuration and the files that it names
	FromStore  Source = "store"  // allocated by `arpfabric allocate` or the API
)

// The sources that the running fabric follows: the kinds of package config.
const (
	FromDnsmasqLeases Source = "dnsmasq_leases"
	FromKeaLeases     Source = "kea_leases"
	FromISCLeases     Source = "isc_leases"
	FromLibvirtStatus Source = "libvirt_status"
	FromDocker        Source = "docker"
)

// Sources lists the names of all sources.
func Sources() []string {
	names := []string{string(FromConfig), string(FromStore)}
	for _, kind := range config.SourceKinds() {
		names = append(names, string(kind))
	}
	return names
}

// BindingPage has some of a network's bindings, sorted by address.
type BindingPage struct {
	Bindings []NetworkBinding `json:"bindings"`
	After    string           `json:"after,omitzero"` // the value of ?after= for the next page; absent on the last one
}

// MaxPage is the most bindings, ranges, blocks or changes in one answer.
const MaxPage = 1000

// FreeRange is a run of addresses that nobody has.
type FreeRange struct {
	Network string     `json:"network"`
	First   netip.Addr `json:"first"`
	Last    netip.Addr `json:"last"`
}

// AddressMap has the states of a network's addresses, in blocks of 256. Blocks of which every address is free are left out.
type AddressMap struct {
	Subnet string         `json:"subnet,omitzero"` // of the network; absent if it has none
	Blocks []AddressBlock `json:"blocks"`          // by address
	After  string         `json:"after,omitzero"`  // the value of ?after= for the next blocks; absent if there are no more
}

// AddressBlock is the 256 addresses of a /24.
type AddressBlock struct {
	First  netip.Addr `json:"first"`
	States string     `json:"states"` // a letter for each address: - unusable, . free, a allocated, A active, ! violated
}

// AddressState is the state of an address, one ASCII letter.
type AddressState byte

// The states of an address. If several are right, the last of them is given.
const (
	UnusableAddress  AddressState = '-' // no host of the network can have it
	FreeAddress      AddressState = '.' // has no binding
	AllocatedAddress AddressState = 'a' // has a binding
	ActiveAddress    AddressState = 'A' // has a binding whose MAC was seen at a port; only where the fabric knows locations
	ViolatedAddress  AddressState = '!' // a guest used it that may not, as the records of violations say
)

// NewAllocation asks for an allocation. Each key may be left out.
type NewAllocation struct {
	Address string `json:"address,omitzero"` // the address; if it is absent, the next free one
	From    string `json:"from,omitzero"`    // a range, or a prefix, of which the next free address is taken
	AllocationSettings
}

// AllocationSettings are the properties of an allocation. A PUT replaces all of them, and keeps only the MAC if it is
// absent.
type AllocationSettings struct {
	MAC     string     `json:"mac,omitzero"`     // of the owner; if it is absent, a new one
	Name    string     `json:"name,omitzero"`    // unique among the network's allocations
	Port    string     `json:"port,omitzero"`    // the only port that the owner may use; if it is absent, any
	TTL     string     `json:"ttl,omitzero"`     // how long the allocation lasts, such as 90m or 24h
	Expires *time.Time `json:"expires,omitzero"` // when it ends; not together with ttl
}

// Change is one change in the history of allocations.
type Change struct {
	Revision uint64     `json:"revision"`
	Time     time.Time  `json:"time"`
	Kind     ChangeKind `json:"kind"`
	Network  string     `json:"network"`
	Address  netip.Addr `json:"address"`
	Is       Owner      `json:"is"`           // the owner after the change; if the address was freed, the last one
	Was      *Owner     `json:"was,omitzero"` // the owner before, if the allocation was changed
	UID      *uint32    `json:"uid,omitzero"` // the user who asked for the change; absent if the allocation expired
	PID      *int32     `json:"pid,omitzero"` // the process that asked for the change
}

// Owner is who has, or had, an allocation.
type Owner struct {
	MAC     string     `json:"mac"`
	Name    string     `json:"name"`
	Port    string     `json:"port"`
	Expires *time.Time `json:"expires,omitzero"`
}

// ChangeKind is the kind of a change.
type ChangeKind string

// The kinds of changes.
const (
	Allocated ChangeKind = "allocate" // the address was not allocated before
	Changed   ChangeKind = "change"   // another MAC, name, port or expiry
	Freed     ChangeKind = "free"
	Expired   ChangeKind = "expire" // the fabric freed it, because its time was over
)
