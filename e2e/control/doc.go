// Package control tests how a node that runs is seen and controlled: the commands that ask
// its admin server, the page there, and who may do what.
package control
