// Package demo runs a scenario that was captured in a cloud's VPC, with the real fabric, on a bridge with three guests:
// first in vpc mode, then in classic mode.
//
// scenario.go has the requests and the expected answers of each mode. run.go runs them on the testbed of testbed.go,
// check.go compares the result with the expected one, and report.go prints it. shell.go gives the testbed to the user
// instead.
//
// [Run] and [Shell] must be called in a lab (see package lab): they create interfaces and network namespaces, and write
// to /run.
package demo
