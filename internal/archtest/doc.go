// Package archtest holds the module to its architecture: which package may import which, what only
// certain files may import, and that there is no cgo and no package without a subject. Its other
// tests check that documents name only tests, files and modules that exist, the plainest rules of
// their language, and that files, functions and lines are short. It consists of tests.
//
// When the test of imports fails, the import is wrong or the table in it is. Changing the table is
// a decision about the design: docs/ARCHITECTURE.md says the same in words and changes with it.
package archtest
