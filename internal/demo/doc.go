// Package demo runs a scenario that was captured in a cloud's VPC, with the real fabric, on a bridge with three guests:
// first in vpc mode, then in classic mode. Then a fourth guest joins, and is allocated an address.
//
// scenario.go has the requests and the expected answers of each mode, and run.go runs them on the testbed of testbed.go.
// allocation.go has the part of the fourth guest. check.go compares the results with the expected ones, and report.go
// prints them. shell.go gives the testbed to the user instead.
//
// [Run] and [Shell] must be called in a lab (see package lab): they create interfaces and network namespaces, and write
// to /run.
package demo
