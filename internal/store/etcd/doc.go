// Package etcd keeps allocations in an etcd cluster that many hosts share.
//
// These are the keys, each below the prefix of the configuration and the version of this layout. The values are lines of
// text, as those of the files of package store:
//
//	/arpfabric/v1/addresses/lab/10.239.0.103                  allocate lab 10.239.0.103 02:00:09:de:54:a8 name=web
//	/arpfabric/v1/addresses/lab/10.239.0.104                  held lab 10.239.0.104 02:00:0a:de:54:a8 at=2026-11-29T00:12:01Z
//	/arpfabric/v1/macs/lab/02:00:09:de:54:a8/10.239.0.103     10.239.0.103
//	/arpfabric/v1/names/lab/web                               10.239.0.103
//	/arpfabric/v1/history/lab/01795911121000000000-host1      allocate lab 10.239.0.103 ... at=2026-11-29T00:12:01Z uid=0 pid=4711
//	/arpfabric/v1/hosts/host1                                 process=4711 ...
//	/arpfabric/v1/locations/host1/lab/02:00:09:de:54:a8       192.0.2.1
//
// An address is what its key says. The keys of MACs and names exist so that a transaction can check that nobody else has
// taken one. Each change is one transaction, which fails if any key that the decision depends on is newer than the table
// that it was made by. The revision of an allocation is etcd's revision of its key.
//
// Hosts and locations end with the lease of a host: see [Claims]. All others stay. A host that only answers needs no right to
// write any keys but these two of its own.
package etcd
