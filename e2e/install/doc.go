// Package install tests what stands around the program: its command line, the package for Debian,
// the image, and how it starts as root and goes on as a user.
package install
