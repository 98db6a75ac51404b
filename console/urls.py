"""The console's pages."""

from django.urls import path

from console import views

app_name = "console"
urlpatterns = [
    path("", views.home, name="home"),
    path("account/password/", views.password, name="password"),
]
