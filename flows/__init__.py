"""The Prefect flow over `clipping`; an installed package, so that Ray's workers can import it."""
