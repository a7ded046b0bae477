// Package violation keeps what guests did with identities that are not theirs, and logs it.
//
// A [Table] has a record for each different violation. It is bounded, and so is what it logs: an attacker
// can forge ever new addresses. Each port has a share of both, so that one guest does not hide what another does.
// A violation is logged when it is seen for the first time, and then summed up while it goes on.
package violation
