// Package plan tells what a configuration would change in a running fabric, before it is in force.
//
// [Compare] is pure: it compares a configuration with what the API says of the fabric. Settings that the API does not show,
// such as most of a network's policy, are not compared.
package plan
