// Package demo plays the story that was captured in a cloud's VPC, with the real fabric, on a bridge with
// three guests: first in vpc mode, then in classic mode.
//
// story.go is the story: what is sent, and what is seen of it in each mode. play.go plays it on the stage that
// stage.go builds, check.go holds what was seen against it, and report.go prints it. shell.go leaves the
// stage to the user instead.
//
// [Play] and [Shell] want to be in a lab (see package lab): they make interfaces and network namespaces,
// and write to /run.
package demo
