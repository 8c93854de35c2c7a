// Package control tests how a running node is observed and controlled: the commands that ask its
// admin server, the page there, and access rights.
package control
