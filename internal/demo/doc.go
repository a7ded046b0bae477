// Package demo runs a scenario that was captured in a cloud's VPC, with the real fabric, on a bridge with three guests:
// first in vpc mode, then in classic mode. Then a fourth guest joins, and is allocated an address.
//
// scenario.go has the requests and the expected answers of each mode, and run.go runs them on the testbed of testbed.go.
// allocation.go has the part of the fourth guest. check.go compares the results with the expected ones, and report.go
// prints them. shell.go gives the testbed to the user instead.
//
// [RunHosts] shows a network over many hosts instead: scenario_hosts.go has the parts, testbed_hosts.go the hosts, tally.go
// what is in the tunnels, and report_hosts.go prints.
//
// [Run], [RunHosts] and [Shell] must be called in a lab (see package lab): they create interfaces and network namespaces, and write
// to /run.
package demo
