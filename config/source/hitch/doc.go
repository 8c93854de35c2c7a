// Package hitch reads configuration files of hitch, https://hitch-tls.org, and translates them to
// options of ours: hitch.conf(5) says what they may hold.
package hitch
