package server

import "net/http"

// S3 answers the clients of S3.
type S3 interface {
	http.Handler
	// Mine tells whether a request is for it.
	Mine(r *http.Request) bool
}

// objects hands requests of S3's clients over before any path is looked at, for
// the name of a bucket may be that of another part of this server.
func (s *Server) objects(next http.Handler) http.Handler {
	if s.S3 == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.S3.Mine(r) {
			s.S3.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
