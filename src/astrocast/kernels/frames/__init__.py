"""Single frames and pixels of a movie: conversion, smoothing, noise, projections."""
