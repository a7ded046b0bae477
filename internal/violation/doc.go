// Package violation records guests' uses of MACs and addresses that are not theirs, and logs them.
//
// A [Table] has a record for each different violation. The number of records and of log lines is limited, because an
// attacker can forge new addresses without end. Each port has a share of both, so that one guest cannot hide another's
// violations. A violation is logged when it is first seen, and then summarized while it continues.
package violation
