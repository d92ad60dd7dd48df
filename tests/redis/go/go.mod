module tutoken.example/tutoken/fleet

go 1.24

require tutoken.example/tutoken v0.0.0

replace tutoken.example/tutoken => ../../../bindings/go
